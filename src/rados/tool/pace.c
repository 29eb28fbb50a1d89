/* --rate, and what was left out. See tool.h. */
#include "rados/tool/tool.h"

#include <stdio.h>
#include <time.h>

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void tool_pace(struct tool *tool)
{
	uint64_t due, now;

	if (!tool->rate)
		return;
	if (!tool->begun_ms)
		tool->begun_ms = now_ms();
	due = tool->begun_ms + tool->steps++ * 1000 / tool->rate;
	now = now_ms();
	if (due > now) {
		struct timespec pause = {(time_t)((due - now) / 1000),
					 (long)((due - now) % 1000) * 1000000};

		(void)nanosleep(&pause, NULL);
	}
}

void tool_leave_out(struct tool *tool, const char *what, const struct err *err)
{
	tool->trouble = true;
	fflush(stdout);
	fprintf(stderr, "valija rados %s: %s: %s\n", tool->command, what, err->text);
}
