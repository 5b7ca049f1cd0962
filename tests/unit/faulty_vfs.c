#include "faulty_vfs.h"

#include <signal.h>
#include <sqlite3.h>

struct faulty_file {
	sqlite3_file base;
	char real[]; /* the file of the real file system; as aligned as a pointer, like SQLite's own
		      */
};

static sqlite3_vfs *real_vfs, vfs;
static unsigned changes, fail_from, fail_many, kill_at;
static int fail_code;
static bool armed, killing, failed;

static sqlite3_file *real_of(sqlite3_file *f)
{
	return (sqlite3_file *)((struct faulty_file *)f)->real;
}

static const sqlite3_io_methods *real_methods(sqlite3_file *f)
{
	return real_of(f)->pMethods;
}

/* SQLITE_OK when this change may be made. */
static int change(void)
{
	unsigned now = changes++;

	if (killing && now == kill_at)
		raise(SIGKILL);
	if (!armed || now < fail_from || now - fail_from >= fail_many)
		return SQLITE_OK;
	failed = true;
	return fail_code;
}

static int file_write(sqlite3_file *f, const void *data, int size, sqlite3_int64 at)
{
	int code = change();

	return code ? code : real_methods(f)->xWrite(real_of(f), data, size, at);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int code = change();

	return code ? code : real_methods(f)->xTruncate(real_of(f), size);
}

static int file_sync(sqlite3_file *f, int flags)
{
	int code = change();

	return code ? code : real_methods(f)->xSync(real_of(f), flags);
}

static int file_close(sqlite3_file *f)
{
	return real_methods(f)->xClose(real_of(f));
}

static int file_read(sqlite3_file *f, void *data, int size, sqlite3_int64 at)
{
	return real_methods(f)->xRead(real_of(f), data, size, at);
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return real_methods(f)->xFileSize(real_of(f), size);
}

static int file_lock(sqlite3_file *f, int level)
{
	return real_methods(f)->xLock(real_of(f), level);
}

static int file_unlock(sqlite3_file *f, int level)
{
	return real_methods(f)->xUnlock(real_of(f), level);
}

static int file_reserved(sqlite3_file *f, int *held)
{
	return real_methods(f)->xCheckReservedLock(real_of(f), held);
}

static int file_control(sqlite3_file *f, int what, void *arg)
{
	return real_methods(f)->xFileControl(real_of(f), what, arg);
}

static int file_sector(sqlite3_file *f)
{
	return real_methods(f)->xSectorSize(real_of(f));
}

static int file_character(sqlite3_file *f)
{
	return real_methods(f)->xDeviceCharacteristics(real_of(f));
}

/* Version 1: no shared memory and no mapping, which an exclusive lock does not need. */
static sqlite3_io_methods methods = {.iVersion = 1,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector,
	.xDeviceCharacteristics = file_character};

static int vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
	int code = real_vfs->xOpen(real_vfs, name, real_of(f), flags, out);

	(void)v;
	f->pMethods = real_methods(f) ? &methods : NULL;
	return code;
}

int faulty_vfs_install(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	vfs = *real_vfs;
	vfs.zName = "faulty";
	vfs.pNext = NULL;
	vfs.szOsFile = (int)sizeof(struct faulty_file) + real_vfs->szOsFile;
	vfs.xOpen = vfs_open;
	return sqlite3_vfs_register(&vfs, 1);
}

void faulty_vfs_fail(unsigned first, unsigned many, int code)
{
	fail_from = changes + first;
	fail_many = many;
	fail_code = code;
	failed = false;
	armed = true;
}

void faulty_vfs_kill(unsigned first)
{
	kill_at = changes + first;
	killing = true;
}

bool faulty_vfs_heal(void)
{
	armed = killing = false;
	return failed;
}
