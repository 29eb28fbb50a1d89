/* Messages at which sessions break: the order that takes them last, and their deaths in the
 * journal. For transfer.c. */
#ifndef FETCH_COLLECT_SUSPECTS_H
#define FETCH_COLLECT_SUSPECTS_H

#include "fetch/collect/receive.h"

/* The message at the cursor, or the next one of the plan's order. NULL: that was all. */
struct message *suspects_at(const struct work *work, struct cursor *cursor);
/* After a session that ended with err: if it broke at one message, that is noted in the journal,
 * and err names it. */
void suspects_note(struct work *work, struct err *err);

#endif
