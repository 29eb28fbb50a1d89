/* See keywords.h. */
#include "maildrop/maildir/adopt/keywords.h"

#include "base/text.h"
#include "maildrop/maildir/adopt/id_list.h"

#include <stdlib.h>
#include <string.h>

#define FILE_NAME "dovecot-keywords"

enum { LETTERS = 26 }; /* keywords with higher numbers stand in no name */

char keywords_letter(pop3_span text, const char *keyword)
{
	while (text.size) {
		pop3_span line = span_take_until(&text, '\n'), number;
		uint64_t n;

		if (line.size && line.data[line.size - 1] == '\r')
			line.size--;
		number = span_take_until(&line, ' ');
		if (line.size && span_number(number, LETTERS - 1, &n) == 0 &&
		    span_equal_nocase(line, span_of(keyword)))
			return (char)('a' + n);
	}
	return '\0';
}

int keywords_read(const struct maildir_place *place, int control, const char *keyword,
		  char *ret_letter, struct err *err)
{
	struct err failure = {0};
	char *text = NULL;
	size_t size = 0;
	int result = id_list_text(place, control, FILE_NAME, &text, &size, &failure);

	*ret_letter = '\0';
	if (result == 0)
		*ret_letter = keywords_letter((pop3_span){text, size}, keyword);
	else if (failure.errnum == ENOENT)
		result = 0;
	else if (err)
		*err = failure;
	free(text);
	return result;
}

bool keywords_has(pop3_span name, char letter)
{
	const char *colon = memchr(name.data, ':', name.size);
	size_t before = colon ? (size_t)(colon - name.data) : name.size;

	return name.size > before + 3 && memcmp(colon, ":2,", 3) == 0 &&
	       memchr(colon + 3, letter, name.size - before - 3) != NULL;
}
