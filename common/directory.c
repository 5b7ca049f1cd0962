#include "common/directory.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int directory_make_for(const char *file, mode_t mode)
{
	char above[PATH_MAX];
	char *slash;

	if (snprintf(above, sizeof(above), "%s", file) >= (int)sizeof(above))
		return -ENAMETOOLONG;
	slash = strrchr(above, '/');
	if (!slash || slash == above)
		return 0;
	*slash = 0;
	return directory_make(above, mode);
}

int directory_make(const char *path, mode_t mode)
{
	int err;

	if (!mkdir(path, mode) || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return -errno;
	err = directory_make_for(path, 0755);
	if (err)
		return err;
	return mkdir(path, mode) && errno != EEXIST ? -errno : 0;
}
