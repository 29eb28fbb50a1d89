/* See ask.h. */
#include "fetch/setup/ask.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool ask_possible(bool no_questions)
{
	return !no_questions && isatty(STDIN_FILENO);
}

bool ask_text(const char *question, const char *offered, char *out, size_t size)
{
	size_t used = 0;
	char c;

	if (offered[0])
		printf("%s [%s]: ", question, offered);
	else
		printf("%s: ", question);
	fflush(stdout);
	for (;;) {
		if (read(STDIN_FILENO, &c, 1) != 1)
			return false;
		if (c == '\n')
			break;
		if (c != '\r' && used + 1 < size)
			out[used++] = c;
	}
	out[used] = '\0';
	if (!used)
		snprintf(out, size, "%s", offered);
	return true;
}

bool ask_yes(const char *question)
{
	char answer[16];

	return ask_text(question, "yes", answer, sizeof(answer)) &&
	       (answer[0] == 'y' || answer[0] == 'Y');
}
