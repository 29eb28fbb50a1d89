/* See scan.h. In the monitor and in command line programs; the text is a person's. */
#include "config/scan.h"

#include <stdbool.h>
#include <string.h>
#include <sysexits.h>

struct scanner {
	char *text;
	size_t size, at;
	unsigned line;
	const char *file;
	struct err *err;
};

static int bad(struct scanner *s, unsigned line, const char *words)
{
	return err_set(s->err, EX_CONFIG, "%s:%u: %s", s->file, line, words);
}

static char peek(const struct scanner *s, size_t ahead)
{
	return s->at + ahead < s->size ? s->text[s->at + ahead] : '\0';
}

/* A quoted string, from its opening quote. */
static int skip_string(struct scanner *s)
{
	char quote = s->text[s->at++];
	unsigned first = s->line;

	while (s->at < s->size && s->text[s->at] != quote) {
		char c = s->text[s->at];

		if (c == '\n')
			return bad(s, first,
				   "a string is not ended on its line: a quote is missing");
		if (c == '$' && quote == '"' && peek(s, 1) == '{')
			return bad(s, s->line,
				   "variables of the environment are not put in: write \\$ for a "
				   "dollar");
		/* at the end of a line it joins the next one; no string with '…' goes on there */
		if (c == '\\' && s->at + 1 < s->size &&
		    (s->text[s->at + 1] != '\n' || quote == '"'))
			s->line += s->text[++s->at] == '\n';
		s->at++;
	}
	if (s->at == s->size)
		return bad(s, first, "a string is not ended: a quote is missing");
	s->at++;
	return 0;
}

static void blank_line(struct scanner *s)
{
	while (s->at < s->size && s->text[s->at] != '\n')
		s->text[s->at++] = ' ';
}

static int blank_block(struct scanner *s)
{
	unsigned first = s->line;

	while (s->at < s->size && !(s->text[s->at] == '*' && peek(s, 1) == '/')) {
		if (s->text[s->at] == '\n')
			s->line++;
		else
			s->text[s->at] = ' ';
		s->at++;
	}
	if (s->at == s->size)
		return bad(s, first, "a comment is not ended: \"*/\" is missing");
	s->text[s->at] = s->text[s->at + 1] = ' ';
	s->at += 2;
	return 0;
}

static int plain(struct scanner *s)
{
	char c = s->text[s->at];

	if (c == '\n')
		s->line++;
	else if (c == '\r' && peek(s, 1) == '\n')
		s->text[s->at] = ' ';
	else if (((unsigned char)c < 0x20 && c != '\t') || c == 0x7f)
		return bad(s, s->line, "a control character: is this a text file?");
	else if (c == '*' || (c == '+' && peek(s, 1) != '='))
		return bad(s, s->line, "\"*\" and \"+\" have to be in double quotes");
	else if (c == '$' && peek(s, 1) == '{')
		return bad(s, s->line, "variables of the environment are not put in");
	s->at++;
	return 0;
}

int config_scan(char *text, size_t size, const char *file, struct err *err)
{
	struct scanner s = {.text = text, .size = size, .line = 1, .file = file, .err = err};

	if (size > CONFIG_TEXT_MAX)
		return err_set(err, EX_CONFIG, "%s: too long for a configuration file: at most 1M",
			       file);
	if (memchr(text, 0, size))
		return err_set(err, EX_CONFIG, "%s: holds a NUL: is this a text file?", file);
	while (s.at < s.size) {
		char c = s.text[s.at], next = peek(&s, 1);
		bool inside = s.at > 0 && !strchr(" \t\n={}(),", s.text[s.at - 1]);
		int status = 0;

		if (c == '"' || c == '\'')
			status = skip_string(&s);
		else if (c == '#' || (c == '/' && next == '/' && !inside))
			blank_line(&s);
		else if (c == '/' && next == '*' && !inside)
			status = blank_block(&s);
		else
			status = plain(&s);
		if (status < 0)
			return -1;
	}
	return 0;
}
