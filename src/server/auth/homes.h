/*
 * The owner of a home's mail: that of the folder, found in a worker thread, since the filesystem
 * may not answer. Answers are kept for two seconds. A home whose filesystem does not answer in time
 * is down until it does; others go on, as long as a thread is left. On auth's loop; the threads are
 * of this file alone.
 */
#ifndef SERVER_AUTH_HOMES_H
#define SERVER_AUTH_HOMES_H

#include "base/err.h"
#include "sys/loop.h"

#include <stdint.h>

struct homes;

enum homes_answer {
	HOMES_KNOWN,
	HOMES_ASKED, /* settled is called with the key when it is known, or down */
	HOMES_DOWN,  /* its filesystem does not answer, or too much is being asked */
};

/* mail_fds: of the mail roots, as CONFIG_ROOTS_MAX allows; they stay the caller's. settled is
 * called on the loop, never from inside homes_owner. Returns NULL with err. Lives as long as the
 * process. */
struct homes *homes_create(struct loop *loop, const int *mail_fds,
			   void (*settled)(void *context, uint64_t key), void *context,
			   struct err *err);
/* The maildrops of that root are mboxes: files. One that is not there, in a folder of root's, is
 * that of the uid in its user's entry: HOMES_HIDDEN. Before homes_owner is called. */
void homes_have_mboxes(struct homes *homes, uint32_t root);
/* An owner that auth may not see: a folder above the home lets nobody through, and the mail root,
 * whose owner would be taken for it, belongs to root. */
#define HOMES_HIDDEN UINT32_MAX
/* The owner of home, a path below that mail root, or HOMES_HIDDEN. If home is not there: of the
 * nearest folder above it, unless that is root's; if it is no folder of its own (symbolic links are
 * not followed), or that one is root's: of the root. *ret_key is set for
 * HOMES_ASKED: at least HOMES_KEY_FIRST, above every uid. */
#define HOMES_KEY_FIRST (1ULL << 63)
enum homes_answer homes_owner(struct homes *homes, uint32_t root, const char *home,
			      uint32_t *ret_uid, uint64_t *ret_key);
/* No keeper serves mail of uid: what was known to be that user's is looked at anew. */
void homes_forget(struct homes *homes, uint32_t uid);

#endif
