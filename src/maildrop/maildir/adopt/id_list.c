/* See id_list.h. In a keeper's worker, `valija deliver` or `valija import`, with the rights of the
 * mail's owner. */
#include "maildrop/maildir/adopt/id_list.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define SIZE_LIMIT ((off_t)1 << 30)
#define FILE_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int read_all(const struct maildrop_syscalls *sys, int fd, char **ret, size_t *ret_size,
		    struct err *err)
{
	struct stat st;
	ssize_t n = 0;

	if (sys->fstat(fd, &st) < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "it cannot be read");
	if (!S_ISREG(st.st_mode) || st.st_size > SIZE_LIMIT)
		return err_set(err, EX_DATAERR, "it is no regular file, or larger than 1 GiB");
	*ret = malloc((size_t)st.st_size + 1);
	if (!*ret)
		return err_sys(err, EX_TEMPFAIL, ENOMEM, "it cannot be read");
	for (*ret_size = 0; *ret_size < (size_t)st.st_size; *ret_size += (size_t)n) {
		n = maildrop_pread(sys, fd, *ret + *ret_size, (size_t)st.st_size - *ret_size,
				   (off_t)*ret_size);
		if (n <= 0)
			break;
	}
	return n < 0 ? err_sys(err, EX_TEMPFAIL, errno, "it cannot be read") : 0;
}

static int parse(struct id_list *list, size_t size, struct err *err)
{
	const pop3_span text = {list->text, size};

	if (list->server == ORIGIN_COURIER) {
		if (sizelist_parse(text, &list->sizelist, err) < 0)
			return -1;
		list->count = list->sizelist.count;
		list->bad = list->sizelist.bad;
		return 0;
	}
	if (uidlist_parse(text, &list->uidlist, err) < 0)
		return -1;
	list->count = list->uidlist.count;
	list->bad = list->uidlist.bad;
	return 0;
}

int id_list_text(const struct maildir_place *place, int control, const char *name, char **ret,
		 size_t *ret_size, struct err *err)
{
	int fd = place->sys->openat(control, name, O_RDONLY | FILE_FLAGS, 0), result;

	if (fd < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "%s", name);
	result = read_all(place->sys, fd, ret, ret_size, err);
	close(fd);
	return result < 0 ? err_prefix(err, "%s", name) : 0;
}

int id_list_read(struct id_list *list, const struct maildir_place *place, int control,
		 enum origin_server server, struct err *err)
{
	const char *name = mail_origin_names[server].list;
	size_t size = 0;
	int result;

	*list = (struct id_list){.server = server};
	result = id_list_text(place, control, name, &list->text, &size, err);
	if (result < 0)
		return -1;
	result = parse(list, size, err);
	return result < 0 ? err_prefix(err, "%s", name) : 0;
}

void id_list_finish(struct id_list *list)
{
	uidlist_finish(&list->uidlist);
	sizelist_finish(&list->sizelist);
	free(list->text);
	*list = (struct id_list){.server = list->server};
}

pop3_span id_list_file(const struct id_list *list, uint32_t entry)
{
	return list->server == ORIGIN_COURIER ? list->sizelist.entries[entry].file
					      : list->uidlist.entries[entry].file;
}

uint32_t id_list_order(const struct id_list *list, uint32_t entry)
{
	uint32_t order = list->server == ORIGIN_DOVECOT ? list->uidlist.entries[entry].order : 0;

	return order ? order : UINT32_MAX;
}
