#include "agent/tls_symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static const char *const function_names[TLS_FUNCTIONS] = {
	[TLS_FN_WRITE] = "SSL_write",
	[TLS_FN_WRITE_EX] = "SSL_write_ex",
	[TLS_FN_READ] = "SSL_read",
	[TLS_FN_READ_EX] = "SSL_read_ex",
	[TLS_FN_GO_WRITE] = "crypto/tls.(*Conn).Write",
};

/* Probes are set at offsets of the file, symbols are at addresses. 0 = in no segment. */
static uint64_t file_offset(Elf *elf, uint64_t address)
{
	size_t count = 0;
	GElf_Phdr p;

	if (elf_getphdrnum(elf, &count))
		return 0;
	for (size_t i = 0; i < count; i++) {
		if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_LOAD && (p.p_flags & PF_X) &&
			address >= p.p_vaddr && address - p.p_vaddr < p.p_filesz)
			return address - p.p_vaddr + p.p_offset;
	}
	return 0;
}

static void match(Elf *elf, const char *name, uint64_t address, struct tls_symbols *s)
{
	for (int f = 0; f < TLS_FUNCTIONS; f++)
		if (!s->offset[f] && strcmp(name, function_names[f]) == 0)
			s->offset[f] = file_offset(elf, address);
}

static void search_table(Elf *elf, Elf_Scn *section, struct tls_symbols *s)
{
	Elf_Data *data = elf_getdata(section, NULL);
	GElf_Shdr header;
	GElf_Sym symbol;

	if (!data || !gelf_getshdr(section, &header) || !header.sh_entsize)
		return;
	for (uint64_t i = 0; i < header.sh_size / header.sh_entsize; i++) {
		const char *name;

		if (!gelf_getsym(data, (int)i, &symbol))
			return;
		if (GELF_ST_TYPE(symbol.st_info) != STT_FUNC || !symbol.st_value)
			continue;
		name = elf_strptr(elf, header.sh_link, symbol.st_name);
		if (name)
			match(elf, name, symbol.st_value, s);
	}
}

static int search(Elf *elf, struct tls_symbols *s)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	GElf_Ehdr file;
	int found = 0;

	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &file) ||
		file.e_ident[EI_CLASS] != ELFCLASS64)
		return -ENOEXEC;
	while ((section = elf_nextscn(elf, section)) != NULL)
		if (gelf_getshdr(section, &header) &&
			(header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB))
			search_table(elf, section, s);
	for (int f = 0; f < TLS_FUNCTIONS; f++)
		found += s->offset[f] != 0;
	return found;
}

int tls_symbols_find(const char *path, struct tls_symbols *s)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), found;
	Elf *elf;

	memset(s, 0, sizeof(*s));
	if (fd < 0)
		return -errno;
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	found = elf ? search(elf, s) : -ENOEXEC;
	elf_end(elf);
	close(fd);
	return found;
}
