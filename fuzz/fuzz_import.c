/*
 * The readers of other fetchers' files: the first octet chooses one, the others are the file.
 * Checked: ids and remarks are well formed, and what was found can be written as a section.
 */
#include "fetch/import/carry.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_account(const struct import_account *account)
{
	const char *at = account->ids, *end = at + account->ids_size;
	uint32_t count = 0;
	char *section;

	for (; at < end; at += strlen(at) + 1, count++) {
		assert(*at == IMPORT_WHOLE || *at == IMPORT_PARTIAL);
		assert(strlen(at) > 1 && !strchr(at, '\n'));
	}
	assert(at == end && count == account->id_count);
	section = carry_section(account, account->secret_at[0] ? "/etc/x.password" : NULL);
	assert(section && strncmp(section, "\naccount ", 9) == 0);
	free(section);
}

static void add_account(struct import *im)
{
	struct import_account *account = import_add(im);

	assert(account);
	strcpy(account->account.user, "u");
	strcpy(account->account.host, "h");
	strcpy(account->query, "h");
}

static void read_as(char kind, struct import *im, pop3_span text)
{
	char profile[64];

	switch (kind) {
	case 'f':
		import_fetchmail(im, "f", text);
		break;
	case 'm':
		import_mpop(im, "f", text);
		break;
	case 'g':
		import_getmail(im, "f", text);
		break;
	case 't':
		import_prefs(im, "f", "/p", text);
		break;
	case 'n':
		if (import_profile(text, profile, sizeof(profile)) == 0)
			assert(strlen(profile) < sizeof(profile));
		break;
	default: /* lists of ids */
		add_account(im);
		if (kind == 'i')
			import_fetchids(im, "f", text);
		else if (kind == 'u')
			import_mpop_uidls(im, im->accounts, "f", text);
		else if (kind == 'o')
			import_oldmail(im, im->accounts, "f", text);
		else if (kind == 'p')
			import_popstate(im, im->accounts, "f", text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct import im = {0};
	char *copy;

	if (size == 0)
		return 0;
	copy = malloc(size); /* of its exact size: reading beyond it is seen */
	memcpy(copy, data + 1, size - 1);
	read_as((char)data[0], &im, (pop3_span){copy, size - 1});
	free(copy);
	for (unsigned i = 0; i < im.count; i++)
		check_account(&im.accounts[i]);
	assert(!im.remarks_size ||
	       (im.remarks[im.remarks_size] == '\0' && im.remarks[im.remarks_size - 1] == '\n'));
	import_finish(&im);
	return 0;
}
