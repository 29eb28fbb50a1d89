/* See ban_list.h. In the monitor, as root when that is root: the text is the state folder's, which
 * only root can write, and is checked nevertheless. */
#include "server/monitor/ban_list.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define HEAD "valija-bans 1"

void ban_list_finish(struct ban_list *list)
{
	free(list->bans);
	*list = (struct ban_list){NULL, 0};
}

/* The place of the first ban that does not stand before network. */
static uint32_t place_of(const struct ban_list *list, const struct network *network)
{
	uint32_t low = 0, high = list->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ban_order(&list->bans[middle].network, network) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct ban_list *list, uint32_t place, const struct network *network)
{
	return place < list->count && ban_order(&list->bans[place].network, network) == 0;
}

int ban_list_add(struct ban_list *list, const struct ban *ban)
{
	uint32_t place = place_of(list, &ban->network);

	if (is_at(list, place, &ban->network)) {
		list->bans[place] = *ban;
		return 0;
	}
	if (list->count == BANS_MAX)
		return -1;
	if (!list->bans)
		list->bans = malloc(BANS_MAX * sizeof(*list->bans));
	if (!list->bans)
		return -1;
	memmove(&list->bans[place + 1], &list->bans[place],
		(list->count - place) * sizeof(*list->bans));
	list->bans[place] = *ban;
	list->count++;
	return 0;
}

bool ban_list_remove(struct ban_list *list, const struct network *network)
{
	uint32_t place = place_of(list, network);

	if (!is_at(list, place, network))
		return false;
	list->count--;
	memmove(&list->bans[place], &list->bans[place + 1],
		(list->count - place) * sizeof(*list->bans));
	return true;
}

uint32_t ban_list_prune(struct ban_list *list, int64_t now)
{
	uint32_t kept = 0, before = list->count;

	for (uint32_t i = 0; i < before; i++)
		if (list->bans[i].until > now)
			list->bans[kept++] = list->bans[i];
	list->count = kept;
	return before - kept;
}

const struct ban *ban_list_after(const struct ban_list *list, const struct network *network)
{
	uint32_t place = network ? place_of(list, network) : 0;

	if (network && is_at(list, place, network))
		place++;
	return place < list->count ? &list->bans[place] : NULL;
}

void ban_list_rows(const struct ban_list *list, struct ban_row *rows)
{
	for (uint32_t i = 0; i < list->count; i++)
		rows[i] = (struct ban_row){.network = list->bans[i].network,
					   .until = list->bans[i].until};
	ban_link(rows, list->count);
}

/* ---- text ---- */

const char *ban_network(const struct network *network, char buf[BAN_NETWORK_MAX])
{
	bool four = network->bits >= 96 &&
		    IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)network->address);
	size_t n;

	if (four)
		text_dotted(network->address + 12, buf);
	else
		inet_ntop(AF_INET6, network->address, buf, BAN_NETWORK_MAX);
	n = strlen(buf);
	if (network->bits < 128)
		snprintf(buf + n, BAN_NETWORK_MAX - n, "/%d", network->bits - (four ? 96 : 0));
	return buf;
}

char *ban_list_print(const struct ban_list *list, size_t *ret_size)
{
	size_t room = (list->count + 2) * (size_t)BAN_LINE_MAX, used;
	char *text = malloc(room), name[BAN_NETWORK_MAX];

	if (!text)
		return NULL;
	used = (size_t)snprintf(text, room, HEAD "\n");
	for (uint32_t i = 0; i < list->count; i++) {
		const struct ban *ban = &list->bans[i];

		used += (size_t)snprintf(text + used, room - used,
					 "%s until=%" PRId64 " since=%" PRId64 " by-uid=%" PRIu32
					 " why=%s\n",
					 ban_network(&ban->network, name), ban->until, ban->since,
					 ban->by_uid, ban->why);
	}
	used += (size_t)snprintf(text + used, room - used, "end %" PRIu32 "\n", list->count);
	*ret_size = used;
	return text;
}

/* Takes "key=VALUE" and the blank behind it off the line. */
static bool take_number(pop3_span *line, const char *key, uint64_t max, uint64_t *ret)
{
	size_t n = strlen(key);
	const char *blank;
	pop3_span digits;

	if (line->size < n || memcmp(line->data, key, n) != 0)
		return false;
	digits = (pop3_span){line->data + n, line->size - n};
	blank = memchr(digits.data, ' ', digits.size);
	if (!blank)
		return false;
	digits.size = (size_t)(blank - digits.data);
	if (span_number(digits, max, ret) < 0)
		return false;
	line->size -= (size_t)(blank + 1 - line->data);
	line->data = blank + 1;
	return true;
}

static bool printable(pop3_span text)
{
	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
			return false;
	return true;
}

/* Returns what is wrong, NULL: nothing. */
static const char *parse_line(pop3_span line, struct ban *ret)
{
	static const char why[] = "why=";
	const char *blank = memchr(line.data, ' ', line.size);
	uint64_t until, since, uid;
	pop3_span words;

	if (!blank ||
	    !network_parse((pop3_span){line.data, (size_t)(blank - line.data)}, &ret->network))
		return "it does not begin with a network";
	line.size -= (size_t)(blank + 1 - line.data);
	line.data = blank + 1;
	if (!take_number(&line, "until=", INT64_MAX, &until) ||
	    !take_number(&line, "since=", INT64_MAX, &since) ||
	    !take_number(&line, "by-uid=", UINT32_MAX, &uid))
		return "until=, since= and by-uid= with numbers are to follow the network";
	if (line.size < strlen(why) || memcmp(line.data, why, strlen(why)) != 0)
		return "why= is missing";
	words = (pop3_span){line.data + strlen(why), line.size - strlen(why)};
	if (!printable(words) || span_copy(words, ret->why, sizeof(ret->why)) < 0)
		return "the words of why= are too long, or not to be printed";
	network_trim(&ret->network);
	ret->until = (int64_t)until;
	ret->since = (int64_t)since;
	ret->by_uid = (uint32_t)uid;
	return NULL;
}

static const char *take_ban(struct ban_list *list, pop3_span line, int64_t now)
{
	struct ban ban;
	const char *wrong = parse_line(line, &ban);
	uint32_t place;

	if (wrong || ban.until <= now)
		return wrong;
	place = place_of(list, &ban.network);
	if (is_at(list, place, &ban.network) && list->bans[place].until >= ban.until)
		return NULL;
	return ban_list_add(list, &ban) < 0 ? "there are too many bans" : NULL;
}

/* The text is cut after a line: another line than the last one may not be "end". */
static const char *take_end(pop3_span line, uint64_t bans, bool *ret_ended)
{
	uint64_t number;

	if (span_number((pop3_span){line.data + 4, line.size - 4}, BANS_MAX, &number) < 0 ||
	    number != bans)
		return "the number of bans is another one";
	*ret_ended = true;
	return NULL;
}

int ban_list_parse(struct ban_list *list, pop3_span text, const char *name, int64_t now,
		   struct err *err)
{
	unsigned number = 0, bad = 0;
	uint64_t bans = 0;
	bool ended = false;
	const char *first = NULL;

	while (text.size) {
		const char *lf = memchr(text.data, '\n', text.size), *wrong;
		pop3_span line = {text.data, lf ? (size_t)(lf - text.data) : text.size};

		if (!lf)
			wrong = "the line has no end: the file is cut";
		else if (ended)
			wrong = "something stands behind the end";
		else if (number++ == 0)
			wrong = span_equal(line, SPAN_LITERAL(HEAD))
					? NULL
					: "it does not begin with \"" HEAD "\"";
		else if (line.size > 4 && memcmp(line.data, "end ", 4) == 0)
			wrong = take_end(line, bans, &ended);
		else
			wrong = bans++ < BANS_MAX ? take_ban(list, line, now)
						  : "there are too many bans";
		if (wrong && !first) {
			first = wrong;
			bad = lf && !ended ? number : number + 1;
		}
		text.size -= line.size + (lf != NULL);
		text.data += line.size + (lf != NULL);
	}
	if (!first && !ended) {
		first = "the end is missing: the file is cut";
		bad = number + 1;
	}
	return first ? err_set(err, EX_DATAERR, "%s:%u: %s", name, bad, first) : 0;
}
