/* See store.h: the table of stores. Another one is a row here. */
#include "maildrop/driver.h"
#include "maildrop/mail_store.h"
#include "maildrop/maildir/maildir.h"
#include "maildrop/mbox/mbox.h"
#include "maildrop/store_threads.h"

#include <sysexits.h>

/* Stores that block have a driver each, and share the threads of store_threads.c. */
static const struct maildrop_driver *const drivers[STORE_KINDS] = {
	[STORE_MAILDIR] = &maildir_driver,
	[STORE_MBOX] = &mbox_driver,
};

/* Stores of libraries that most programs are not linked with. */
static store_creator *registered[STORE_KINDS];

void store_register(enum store_kind kind, store_creator *create)
{
	registered[kind] = create;
}

const struct maildrop_driver *store_driver(enum store_kind kind)
{
	return drivers[kind];
}

struct store *store_create(enum store_kind kind, const struct store_host *host,
			   const struct maildrop_settings *settings, int root_fd, struct err *err)
{
	const struct maildrop_driver *driver = drivers[kind];

	if ((settings->retention.keep_seconds || settings->retention.delete_seconds) &&
	    !(driver && driver->retains)) {
		err_set(err, EX_CONFIG,
			"retention: messages are kept, or deleted for their age, in Maildirs only, "
			"and this store is another one: leave keep_deleted and delete_after out");
		return NULL;
	}
	if (driver)
		return store_threads_create(driver, host, settings, root_fd, err);
	if (registered[kind])
		return registered[kind](host, settings, root_fd, err);
	err_set(err, EX_CONFIG, "this program was built without the store %s",
		mail_store_word((int)kind));
	return NULL;
}
