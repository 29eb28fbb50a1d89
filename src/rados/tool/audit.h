/* Bodies that no log tells of: found by check, removed by sweep. */
#ifndef RADOS_TOOL_AUDIT_H
#define RADOS_TOOL_AUDIT_H

#include "rados/tool/tool.h"

#include <time.h>

/* A delivery gives up after 10 minutes; that 7 days pass before its body goes is what makes a
 * stopped node safe (docs/models.md). They are counted from the sweep that saw it first, which
 * notes the time on it, by the cluster's clock: whatever the clocks of nodes say, the one that
 * wrote the body and the one that sweeps, it is that old. */
enum { ORPHAN_AGE_S = 7 * 24 * 3600 };

struct orphan {
	const struct tool_body *body;
	char owner[ENGINE_NAME_MAX]; /* maildrop; "": its body does not say */
	uint64_t size;
	bool young;     /* its delivery may be under way */
	bool noted;     /* a sweep has seen it before */
	bool has_index; /* of its owner */
};
struct orphans {
	struct orphan *items; /* sorted by owner */
	size_t count;
	time_t now; /* by the cluster's clock */
};
/* Of bodies, all whose record no log has: both added and deleted are false. The logs were read
 * after bodies were listed. */
int orphans_find(struct tool *tool, const struct tool_bodies *bodies, struct orphans *ret,
		 struct err *err);
/* Notes the cluster's time on it. */
int orphan_note(struct tool *tool, const struct orphan *orphan, time_t now, struct err *err);
void orphans_finish(struct orphans *orphans);

#endif
