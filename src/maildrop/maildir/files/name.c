/* See name.h. Pure: names are octets that a stranger may have chosen. */
#include "maildrop/maildir/files/name.h"

#include "base/digest.h"
#include "base/random.h"
#include "base/text.h"
#include "maildrop/index/format.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SIZE_LIMIT ((uint64_t)1 << 48) /* a larger claim is no claim */

/* ",X=digits" at this place; the number ends at another field, at the flags or at the end. */
static bool size_field(const char *p, size_t left, char letter, uint64_t *ret)
{
	size_t digits = 0;

	if (left < 4 || p[0] != ',' || p[1] != letter || p[2] != '=')
		return false;
	while (3 + digits < left && p[3 + digits] >= '0' && p[3 + digits] <= '9')
		digits++;
	if (3 + digits < left && p[3 + digits] != ',')
		return false;
	return span_number((pop3_span){p + 3, digits}, SIZE_LIMIT, ret) == 0;
}

static uint64_t leading_seconds(pop3_span name)
{
	size_t digits = 0;
	uint64_t seconds = 0;

	while (digits < name.size && name.data[digits] >= '0' && name.data[digits] <= '9')
		digits++;
	if (span_number((pop3_span){name.data, digits}, INT64_MAX, &seconds) < 0)
		return 0;
	return seconds;
}

static size_t flags_at(pop3_span name)
{
	const char *colon = memchr(name.data, ':', name.size);

	return colon ? (size_t)(colon - name.data) : name.size;
}

uint8_t maildir_name_unique(pop3_span name)
{
	size_t end = flags_at(name);
	uint64_t claim;

	for (size_t i = 1; i < end; i++) {
		const char *p = memchr(name.data + i, ',', end - i);

		if (!p)
			break;
		i = (size_t)(p - name.data);
		if (size_field(p, end - i, 'S', &claim) || size_field(p, end - i, 'W', &claim))
			return (uint8_t)i;
	}
	/* a name that is nothing but flags: all of it must tell it from others */
	return (uint8_t)(end ? end : name.size);
}

void maildir_name_parse(pop3_span name, struct maildir_name *ret)
{
	size_t end = flags_at(name);

	memset(ret, 0, sizeof(*ret));
	ret->unique_size = maildir_name_unique(name);
	for (size_t i = ret->unique_size; i < end; i++) {
		const char *p = memchr(name.data + i, ',', end - i);

		if (!p)
			break;
		i = (size_t)(p - name.data);
		if (!ret->has_stored && size_field(p, end - i, 'S', &ret->stored))
			ret->has_stored = true;
		else if (!ret->has_octets && size_field(p, end - i, 'W', &ret->octets))
			ret->has_octets = true;
	}
	ret->seconds = leading_seconds(name);
}

int maildir_unique_id(pop3_span unique, unsigned variant, char id[POP3_UNIQUE_ID_MAX])
{
	char text[INDEX_NAME_MAX + 16], hex[DIGEST_NAME_MAX];
	struct digest digest;
	size_t size;

	if (variant == 0 && index_id_valid(unique)) {
		memcpy(id, unique.data, unique.size);
		return (int)unique.size;
	}
	memcpy(text, unique.data, unique.size);
	size = unique.size;
	/* NUL cannot be in a name: variants never meet another name's digest */
	if (variant > 1)
		size += (size_t)snprintf(text + size, sizeof(text) - size, "%c%u", 0, variant);
	digest_init(&digest, DIGEST_SHA_256);
	digest_add(&digest, text, size);
	digest_finish_name(&digest, hex);
	memcpy(id, hex, sizeof(hex) - 1);
	return sizeof(hex) - 1;
}

int maildir_fresh_name(uint64_t seconds, uint32_t microseconds, const char *host,
		       char name[MAILDIR_FRESH_NAME_MAX])
{
	char clean[65], hex[17];
	unsigned char octets[8];
	size_t n = 0;

	if (random_octets(octets, sizeof(octets)) < 0)
		return -1;
	hex_encode(octets, sizeof(octets), hex);
	for (; host && host[n] && n < sizeof(clean) - 1; n++) {
		/* "/", ":" and "," have a meaning in names */
		bool plain = host[n] > ' ' && host[n] < 0x7f && !strchr("/:,\\", host[n]);

		clean[n] = plain ? host[n] : '_';
	}
	clean[n] = '\0';
	return snprintf(name, MAILDIR_FRESH_NAME_MAX, "%llu.M%06uP%ldQ%s.%s",
			(unsigned long long)seconds, (unsigned)microseconds, (long)getpid(), hex,
			n ? clean : "localhost");
}
