/*
 * Files of Cyrus, as `valija import cyrus` takes them apart. The first octet says which: i an
 * index, d an index without what is marked as deleted, h a mailbox's header, else imapd.conf.
 * Checked: what an index says fits into the file it is from, and numbers ascend; a name lies in the
 * header; each error has words.
 */
#include "base/text.h"
#include "cli/import/cyrus/conf.h"
#include "cli/import/cyrus/records.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_index(pop3_span file, bool skip_deleted)
{
	struct cyrus_index index;
	struct err err = {0};

	if (cyrus_index_parse(file, skip_deleted, &index, &err) < 0) {
		assert(err.text[0]);
		return;
	}
	assert(index.count <= file.size / 60);
	for (uint32_t i = 0; i < index.count; i++) {
		assert(index.messages[i].uid > (i ? index.messages[i - 1].uid : 0));
		assert(!skip_deleted || !(index.messages[i].flags & CYRUS_DELETED));
	}
	cyrus_index_finish(&index);
}

static void try_header(pop3_span file)
{
	pop3_span name = cyrus_header_name(file);

	assert(!name.size ||
	       (name.data >= file.data && name.data + name.size <= file.data + file.size));
	assert(!name.size || !memchr(name.data, '\n', name.size));
}

/* Input that includes other files would read what is on this machine. */
static void try_conf(pop3_span file)
{
	char path[] = "/tmp/fuzz-cyrus-XXXXXX";
	struct cyrus_conf conf;
	struct err err = {0};
	int fd;

	if (file.size && memmem(file.data, file.size, "nclude", 6))
		return;
	fd = mkstemp(path);
	if (fd < 0 || write(fd, file.data, file.size) != (ssize_t)file.size)
		abort();
	if (cyrus_conf_read(path, &conf, &err) < 0)
		assert(strncmp(err.text, path, strlen(path)) == 0);
	for (size_t i = 0; i < conf.count; i++) {
		assert(!strpbrk(conf.options[i].key, "\nABCDEFGHIJKLMNOPQRSTUVWXYZ"));
		assert(cyrus_conf_get(&conf, conf.options[i].key));
	}
	(void)cyrus_conf_is(&conf, "allowapop", true);
	cyrus_conf_finish(&conf);
	close(fd);
	unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span file = {(const char *)data + 1, size - 1};

	if (!size)
		return 0;
	if (data[0] == 'i' || data[0] == 'd')
		try_index(file, data[0] == 'd');
	else if (data[0] == 'h')
		try_header(file);
	else
		try_conf(file);
	return 0;
}
