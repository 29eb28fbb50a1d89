/*
 * The aliases file under any octets: opened from a memory file, then every name it could hold is
 * looked up. Checked: what is found has targets that are themselves possible names, in order of
 * the file's rules; a file that is refused says why.
 */
#include "base/text.h"
#include "users/aliases.h"
#include "users/users.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct alias *alias)
{
	const char *target = alias->targets;

	assert(alias->count > 0 && alias->line > 0 && strlen(alias->name) <= USER_NAME_MAX);
	for (uint32_t i = 0; i < alias->count; i++) {
		size_t n = strlen(target);

		assert(n > 0 && n <= USER_NAME_MAX && !strpbrk(target, " \t\r\n,:\"\\"));
		assert(target[0] != '/' && target[0] != '|' && target[0] != '.' &&
		       target[0] != '-');
		target += n + 1;
	}
}

/* Every run of octets that ends at a ":" is a name that may be there. */
static void look_up(const struct aliases *aliases, const char *text, size_t size)
{
	size_t start = 0;

	for (size_t i = 0; i < size; i++) {
		const struct alias *alias;

		if (text[i] == '\n' || text[i] == ' ' || text[i] == '\t')
			start = i + 1;
		if (text[i] != ':')
			continue;
		alias = aliases_find(aliases, (pop3_span){text + start, i - start});
		if (!alias)
			continue;
		check(alias);
		assert(user_name_same(span_of(alias->name), (pop3_span){text + start, i - start}));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("aliases", MFD_CLOEXEC);
	struct aliases *aliases;
	struct err err = {0};
	char name[32];

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (aliases_open(-1, name, &aliases, &err) < 0) {
		assert(err.text[0]);
	} else {
		look_up(aliases, (const char *)data, size);
		aliases_refresh(aliases);
		look_up(aliases, (const char *)data, size);
		aliases_close(aliases);
	}
	close(fd);
	return 0;
}
