/* Fields of the server's lines, as JSON and for people. See control_commands.h. */
#include "cli/control_commands.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void print_json_text(const char *field)
{
	if (strcmp(field, "-") == 0) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	for (; *field; field++) {
		if (*field == '"' || *field == '\\')
			putchar('\\');
		putchar(*field);
	}
	putchar('"');
}

void print_json_member(const char *name, const char *field)
{
	printf(", \"%s\": ", name);
	print_json_text(field);
}

const char *print_time(unsigned long long seconds, char buf[32])
{
	time_t time = (time_t)seconds;
	struct tm tm;

	if (!seconds || !localtime_r(&time, &tm) || !strftime(buf, 32, "%F %T", &tm))
		return "-";
	return buf;
}
