/* Bodies that no log tells of: found by check, removed by sweep. */
#ifndef RADOS_TOOL_AUDIT_H
#define RADOS_TOOL_AUDIT_H

#include "rados/tool/tool.h"

/* A delivery gives up after 10 minutes; that 7 days pass before its body goes is what makes a
 * stopped node safe (docs/models.md). */
enum { ORPHAN_AGE_S = 7 * 24 * 3600 };

struct orphan {
	const struct tool_body *body;
	char owner[ENGINE_NAME_MAX]; /* maildrop; "": its body does not say */
	uint64_t size;
	bool young;     /* its delivery may be under way */
	bool has_index; /* of its owner */
};
struct orphans {
	struct orphan *items; /* sorted by owner */
	size_t count;
};
/* Of bodies, all whose record no log has: both added and deleted are false. The logs were read
 * after bodies were listed. */
int orphans_find(struct tool *tool, const struct tool_bodies *bodies, struct orphans *ret,
		 struct err *err);
void orphans_finish(struct orphans *orphans);

#endif
