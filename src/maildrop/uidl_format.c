/* See uidl_format.h. */
#include "maildrop/uidl_format.h"

#include "base/digest.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define WIDTH_MAX 255
#define MODIFIERS "LUXRM"

/* A variable that is being made. */
struct piece {
	char text[UIDL_TEXT_MAX];
};

static void fold(char *text, char first, char last)
{
	for (; *text; text++)
		if (*text >= first && *text <= last)
			*text ^= 0x20;
}

static void reverse(char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n / 2; i++) {
		char c = text[i];

		text[i] = text[n - 1 - i];
		text[n - 1 - i] = c;
	}
}

/* A number in hex digits; the leading digits of a text count, as Dovecot has it. */
static void to_hex(struct piece *piece)
{
	snprintf(piece->text, sizeof(piece->text), "%llx", strtoull(piece->text, NULL, 10));
}

static void modify(struct piece *piece, char modifier)
{
	struct digest digest;

	switch (modifier) {
	case 'L':
		fold(piece->text, 'A', 'Z');
		break;
	case 'U':
		fold(piece->text, 'a', 'z');
		break;
	case 'R':
		reverse(piece->text);
		break;
	case 'X':
		to_hex(piece);
		break;
	case 'M':
		digest_init(&digest, DIGEST_MD5);
		digest_add(&digest, piece->text, strlen(piece->text));
		digest_finish_name(&digest, piece->text);
		break;
	}
}

/* Zeros in front up to this width. */
static void pad(struct piece *piece, size_t width)
{
	size_t n = strlen(piece->text);

	if (n >= width)
		return;
	memmove(piece->text + width - n, piece->text, n + 1);
	memset(piece->text, '0', width - n);
}

/* -1 with err: there is no variable of that letter, or not in this store. */
static int value_of(char variable, const struct uidl_values *values, struct piece *ret,
		    struct err *err)
{
	pop3_span text;

	switch (variable) {
	case 'v':
	case 'u':
		snprintf(ret->text, sizeof(ret->text), "%" PRIu32,
			 variable == 'v' ? values->uidvalidity : values->uid);
		return 0;
	case 'f':
		text = values->file;
		break;
	case 'g':
		text = values->guid;
		break;
	case 'm':
		text = values->md5;
		break;
	default:
		return err_set(err, EX_DATAERR, "%%%c, which is not known here", variable);
	}
	if (!text.data)
		return err_set(err, EX_DATAERR, "%%%c, which Dovecot has for %s only", variable,
			       variable == 'm' ? "mboxes" : "Maildirs");
	if (span_copy(text, ret->text, sizeof(ret->text)) < 0)
		return err_set(err, EX_DATAERR, "a name that is too long");
	return 0;
}

static long take_number(const char **at)
{
	long number = 0;

	for (; **at >= '0' && **at <= '9'; (*at)++)
		number = number > WIDTH_MAX ? number : number * 10 + (**at - '0');
	return number;
}

/* Offset and width of a text, which may be counted from its end. */
static void cut(struct piece *piece, long offset, long width, bool zeros)
{
	size_t n = strlen(piece->text), from;

	if (offset < 0)
		offset = (long)n + offset < 0 ? 0 : (long)n + offset;
	from = (size_t)offset < n ? (size_t)offset : n;
	memmove(piece->text, piece->text + from, n - from + 1);
	n -= from;
	if (zeros && width > 0)
		pad(piece, (size_t)width);
	if (zeros || width == 0)
		return;
	if (width < 0)
		width = (long)n + width < 0 ? 0 : (long)n + width;
	if ((size_t)width < n)
		piece->text[width] = '\0';
}

/* "%[[-]OFFSET.][-][0]WIDTH MODIFIERS LETTER", at is behind the "%". A minus is of the offset, or,
 * behind the point, of the width; zeros are padded by the width alone. */
static int take_short(const char **at, const struct uidl_values *values, struct piece *ret,
		      struct err *err)
{
	bool negative = **at == '-', zeros;
	long offset = 0, width;
	const char *modifiers;

	*at += negative;
	zeros = **at == '0';
	width = take_number(at);
	if (**at == '.') {
		(*at)++;
		offset = negative ? -width : width;
		negative = **at == '-';
		*at += negative;
		zeros = **at == '0';
		width = take_number(at) * (negative ? -1 : 1);
	}
	modifiers = *at;
	*at += strspn(*at, MODIFIERS);
	if (labs(offset) > WIDTH_MAX || labs(width) > WIDTH_MAX)
		return err_set(err, EX_DATAERR, "a width of more than %d", WIDTH_MAX);
	if (value_of(**at, values, ret, err) < 0)
		return -1;
	(*at)++;
	for (; strchr(MODIFIERS, *modifiers) && *modifiers; modifiers++)
		modify(ret, *modifiers);
	cut(ret, offset, width, zeros);
	return 0;
}

static bool take_word(const char **at, const char *word)
{
	size_t size = strlen(word);

	*at += strspn(*at, " ");
	if (strncmp(*at, word, size) != 0)
		return false;
	*at += size;
	*at += strspn(*at, " ");
	return true;
}

/* A filter of 2.4, at is behind the "|". */
static int take_filter(const char **at, struct piece *piece, struct err *err)
{
	if (take_word(at, "hex(")) {
		long width = take_number(at);

		if (**at != ')' || width > WIDTH_MAX)
			return err_set(err, EX_DATAERR, "hex() with another width than 0 to %d",
				       WIDTH_MAX);
		(*at)++;
		to_hex(piece);
		pad(piece, (size_t)width);
	} else if (take_word(at, "hex")) {
		to_hex(piece);
	} else if (take_word(at, "lower")) {
		modify(piece, 'L');
	} else if (take_word(at, "upper")) {
		modify(piece, 'U');
	} else if (take_word(at, "reverse")) {
		modify(piece, 'R');
	} else {
		return err_set(err, EX_DATAERR, "the filter %.*s, which is not known here",
			       (int)strcspn(*at, " |}"), *at);
	}
	*at += strspn(*at, " ");
	return 0;
}

/* "%{NAME | FILTER ...}", at is behind the brace. */
static int take_long(const char **at, const struct uidl_values *values, struct piece *ret,
		     struct err *err)
{
	/* the longer name first */
	static const struct {
		const char *name;
		char letter;
	} names[] = {
		{"uidvalidity", 'v'}, {"uid", 'u'}, {"filename", 'f'}, {"guid", 'g'}, {"md5", 'm'}};
	size_t i = 0;

	while (i < sizeof(names) / sizeof(*names) && !take_word(at, names[i].name))
		i++;
	if (i == sizeof(names) / sizeof(*names))
		return err_set(err, EX_DATAERR, "%%{%.*s}, which is not known here",
			       (int)strcspn(*at, "}"), *at);
	if (value_of(names[i].letter, values, ret, err) < 0)
		return -1;
	while (**at == '|') {
		(*at)++;
		*at += strspn(*at, " ");
		if (take_filter(at, ret, err) < 0)
			return -1;
	}
	if (**at != '}')
		return err_set(err, EX_DATAERR, "\"%s\", which is not understood", *at);
	(*at)++;
	return 0;
}

/* -1 with err; 0 and no text: it does not fit. */
static int expand(const char *format, const struct uidl_values *values, char ret[UIDL_TEXT_MAX],
		  struct err *err)
{
	struct piece piece;
	size_t size = 0, n;

	for (const char *at = format; *at;) {
		if (*at != '%' || at[1] == '%') {
			piece.text[0] = *at;
			piece.text[1] = '\0';
			at += *at == '%' ? 2 : 1;
		} else if (at[1] == '{') {
			at += 2;
			if (take_long(&at, values, &piece, err) < 0)
				return -1;
		} else {
			at++;
			if (take_short(&at, values, &piece, err) < 0)
				return -1;
		}
		n = strlen(piece.text);
		if (size + n >= UIDL_TEXT_MAX)
			return 0;
		memcpy(ret + size, piece.text, n);
		size += n;
	}
	ret[size] = '\0';
	return (int)size;
}

int uidl_format_check(const char *format, bool mbox, struct err *err)
{
	static const char any[] = "x";
	const struct uidl_values values = {.uidvalidity = 1,
					   .uid = 1,
					   .guid = {any, 1},
					   .file = {mbox ? NULL : any, 1},
					   .md5 = {mbox ? any : NULL, 1}};
	char text[UIDL_TEXT_MAX];
	struct err why;

	if (expand(format, &values, text, &why) >= 0)
		return 0;
	return err_set(err, EX_DATAERR, "pop3_uidl_format = %s has %s", format, why.text);
}

size_t uidl_format_expand(const char *format, const struct uidl_values *values,
			  char ret[UIDL_TEXT_MAX])
{
	int size = expand(format, values, ret, NULL);

	return size > 0 ? (size_t)size : 0;
}
