/* See autoconfig.h. By expat, without document types: there is nothing to expand. */
#include "fetch/setup/autoconfig.h"

#include "base/text.h"

#include <expat.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 256, DEPTH_MAX = 64 };

struct reader {
	XML_Parser parser;
	const char *address;
	unsigned depth;
	bool inside; /* of an incomingServer with type pop3 */
	bool root;   /* clientConfig was seen */
	bool broken, overflow;
	char text[TEXT_MAX];
	size_t used;
	struct found one; /* the server that is being read */
	bool tls_known, password;
	struct found *best;
	int rank; /* of best: 0 none, 1 STARTTLS, 2 TLS */
};

static void stop(struct reader *r)
{
	r->broken = true;
	XML_StopParser(r->parser, XML_FALSE);
}

static void no_doctype(void *context, const XML_Char *name, const XML_Char *system,
		       const XML_Char *id, int internal)
{
	(void)name, (void)system, (void)id, (void)internal;
	stop(context);
}

static void start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct reader *r = context;

	r->used = 0;
	r->overflow = false;
	if (++r->depth > DEPTH_MAX) {
		stop(r);
		return;
	}
	if (r->depth == 1)
		r->root = strcmp(name, "clientConfig") == 0;
	if (strcmp(name, "incomingServer") != 0)
		return;
	r->inside = false;
	for (; attributes[0]; attributes += 2)
		if (strcmp(attributes[0], "type") == 0)
			r->inside = strcmp(attributes[1], "pop3") == 0;
	r->one = (struct found){0};
	r->tls_known = r->password = false;
}

static void text(void *context, const XML_Char *octets, int size)
{
	struct reader *r = context;
	size_t room = TEXT_MAX - 1 - r->used, n = (size_t)size;

	if (!r->inside)
		return;
	r->overflow |= n > room;
	n = n > room ? room : n;
	memcpy(r->text + r->used, octets, n);
	r->used += n;
}

static void trim(struct reader *r)
{
	size_t front = 0;

	while (r->used && strchr(" \t\r\n", r->text[r->used - 1]))
		r->used--;
	while (front < r->used && strchr(" \t\r\n", r->text[front]))
		front++;
	r->used -= front;
	memmove(r->text, r->text + front, r->used);
	r->text[r->used] = '\0';
}

/* "%EMAILADDRESS%" and its parts; an empty user where it does not fit. */
static void take_user(struct reader *r)
{
	const char *at = strrchr(r->address, '@');
	const struct {
		const char *name;
		pop3_span value;
	} names[] = {{"%EMAILADDRESS%", span_of(r->address)},
		     {"%EMAILLOCALPART%", {r->address, (size_t)(at - r->address)}},
		     {"%EMAILDOMAIN%", span_of(at + 1)}};
	size_t used = 0;

	for (const char *from = r->text; *from && used + 1 < sizeof(r->one.user);) {
		size_t i = 0;

		while (i < 3 && strncmp(from, names[i].name, strlen(names[i].name)) != 0)
			i++;
		if (i == 3) {
			r->one.user[used++] = *from++;
			continue;
		}
		if (used + names[i].value.size + 1 > sizeof(r->one.user)) {
			used = 0;
			break;
		}
		memcpy(r->one.user + used, names[i].value.data, names[i].value.size);
		used += names[i].value.size;
		from += strlen(names[i].name);
	}
	r->one.user[used] = '\0';
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)r->one.user[i] < 0x20 || r->one.user[i] == 0x7f)
			r->one.user[0] = '\0';
}

static void take_field(struct reader *r, const char *name)
{
	uint64_t port;

	trim(r);
	if (r->overflow)
		return;
	if (strcmp(name, "hostname") == 0 && found_host_valid(r->text, r->used)) {
		memcpy(r->one.host, r->text, r->used + 1);
	} else if (strcmp(name, "port") == 0 &&
		   span_number((pop3_span){r->text, r->used}, 65535, &port) == 0) {
		r->one.port = (uint16_t)port;
	} else if (strcmp(name, "socketType") == 0) {
		r->tls_known = strcmp(r->text, "SSL") == 0 || strcmp(r->text, "STARTTLS") == 0;
		r->one.tls = strcmp(r->text, "SSL") == 0 ? FETCH_TLS_IMPLICIT : FETCH_TLS_STARTTLS;
	} else if (strcmp(name, "username") == 0) {
		take_user(r);
	} else if (strcmp(name, "authentication") == 0) {
		r->one.tokens_only |= strcmp(r->text, "OAuth2") == 0;
		r->password |= strncmp(r->text, "password-", 9) == 0;
	}
}

/* A server without TLS is none: the password would go in clear. */
static void end(void *context, const XML_Char *name)
{
	struct reader *r = context;
	int rank;

	r->depth--;
	if (!r->inside)
		return;
	if (strcmp(name, "incomingServer") != 0) {
		take_field(r, name);
		r->used = 0;
		return;
	}
	r->inside = false;
	rank = !r->tls_known || !r->one.host[0] ? 0 : r->one.tls == FETCH_TLS_IMPLICIT ? 2 : 1;
	if (rank <= r->rank)
		return;
	r->one.tokens_only &= !r->password;
	*r->best = r->one;
	r->rank = rank;
}

int autoconfig_read(pop3_span xml, const char *address, struct found *ret)
{
	struct reader reader = {.address = address, .best = ret};
	struct found found = {0};
	enum XML_Status status;

	reader.best = &found;
	reader.parser = xml.size <= INT_MAX ? XML_ParserCreate("UTF-8") : NULL;
	if (!reader.parser || !strrchr(address, '@')) {
		XML_ParserFree(reader.parser);
		return -1;
	}
	XML_SetUserData(reader.parser, &reader);
	XML_SetElementHandler(reader.parser, start, end);
	XML_SetCharacterDataHandler(reader.parser, text);
	XML_SetStartDoctypeDeclHandler(reader.parser, no_doctype);
	status = XML_Parse(reader.parser, xml.data, (int)xml.size, XML_TRUE);
	XML_ParserFree(reader.parser);
	if (status != XML_STATUS_OK || reader.broken || !reader.root)
		return -1;
	if (!reader.rank)
		return 0;
	*ret = found;
	return 1;
}
