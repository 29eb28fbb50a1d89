/* See script.h. */
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const step_names[STEP_COUNT] = {
	"login", "badlogin", "stat", "list",  "uidl", "retr",  "dele",
	"noop",  "rset",     "quit", "close", "gate", "stall", "drip",
};

void script_parse(struct script *script, const char *text)
{
	memset(script, 0, sizeof *script);
	while (*text) {
		size_t size = strcspn(text, ",");
		unsigned step = 0;
		while (step < STEP_COUNT && (strlen(step_names[step]) != size ||
					     strncmp(step_names[step], text, size) != 0))
			step++;
		if (step == STEP_COUNT || script->count == SCRIPT_MAX) {
			fprintf(stderr, "not a script: %s\n", text);
			exit(2);
		}
		script->step[script->count++] = (uint8_t)step;
		if (step == STEP_GATE || step == STEP_STALL || step == STEP_DRIP)
			script->gated = true;
		text += size + (text[size] == ',');
	}
}
