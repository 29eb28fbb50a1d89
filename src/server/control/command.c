/* See command.h. */
#include "server/control/command.h"

#include "base/text.h"
#include "server/control/ban.h"
#include "server/control/figures.h"

#include <string.h>

static const struct command_row rows[] = {
	{"who", TARGET_MAY, NULL, {{STEP_WHO, WHO_LIST}}},
	{"kick", TARGET_MUST, "kick needs a user, an address or a session", {{STEP_WHO, WHO_KICK}}},
	{"flush", TARGET_MUST, "flush needs a user", {{STEP_FLUSH, 0}}},
	{"flush-all", TARGET_NONE, NULL, {{STEP_FLUSH, 0}}},
	{"ban", TARGET_MAY, NULL, {{STEP_BAN, BANS_COMMAND}}},
	{"explain", TARGET_MUST, "it needs a user, an address or a session", {{STEP_EXPLAIN, 0}}},
	{"trace", TARGET_MUST, "trace needs seconds and a user", {{STEP_TRACE, 0}}},
	{"logins migrate", TARGET_NONE, NULL, {{STEP_LOGINS, 0}}},
	{"penalties", TARGET_NONE, NULL, {{STEP_PENALTIES, 0}}},
	{"reload", TARGET_NONE, NULL, {{STEP_MONITOR, TOPIC_RELOAD}, {STEP_AUTH, TOPIC_COUNTS}}},
	{"upgrade", TARGET_NONE, NULL, {{STEP_MONITOR, TOPIC_UPGRADE}, {STEP_AUTH, TOPIC_COUNTS}}},
	{"log-level", TARGET_MAY, NULL, {{STEP_MONITOR, TOPIC_LOG_LEVEL}}},
	{"drain", TARGET_NONE, NULL, {{STEP_MONITOR, TOPIC_DRAIN}, {STEP_AUTH, TOPIC_COUNTS}}},
	{"stats", TARGET_NONE, NULL, {{STEP_HERE, FIGURES_STATS}}},
	{"show sessions", TARGET_MAY, NULL, {{STEP_WHO, WHO_LIST}}},
	{"show listeners", TARGET_NONE, NULL, {{STEP_MONITOR, TOPIC_LISTENERS}}},
	{"show users", TARGET_NONE, NULL, {{STEP_AUTH, TOPIC_USERS}}},
	{"show generations",
	 TARGET_NONE,
	 NULL,
	 {{STEP_MONITOR, TOPIC_GENERATIONS}, {STEP_AUTH, TOPIC_COUNTS}}},
	{"show processes", TARGET_NONE, NULL, {{STEP_MONITOR, TOPIC_PROCESSES}}},
	{"show certificates", TARGET_NONE, NULL, {{STEP_HERE, FIGURES_CERTIFICATES}}},
	{"show databases", TARGET_NONE, NULL, {{STEP_AUTH, TOPIC_DATABASES}}},
	{"show program", TARGET_NONE, NULL, {{STEP_MONITOR, TOPIC_PROGRAM}}},
	{"show bans", TARGET_NONE, NULL, {{STEP_BAN, BANS_LIST}}},
};

static bool has_control_character(pop3_span text)
{
	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
			return true;
	return false;
}

/* Takes the words off the line, and the blank behind them. False: it begins with others. */
static bool take_words(pop3_span *line, const char *words)
{
	size_t size = strlen(words);

	if (line->size < size || memcmp(line->data, words, size) != 0 ||
	    (line->size > size && line->data[size] != ' '))
		return false;
	size += line->size > size;
	line->data += size;
	line->size -= size;
	return true;
}

static const struct command_row *take_name(pop3_span *line)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (take_words(line, rows[i].name))
			return &rows[i];
	return NULL;
}

const char *command_parse(pop3_span line, struct command *ret)
{
	const struct command_row *row;

	if (!take_words(&line, "1"))
		return "another version of the protocol: this server has version 1";
	row = take_name(&line);
	if (!row)
		return "there is no such command";
	if (row->target == TARGET_NONE && line.size)
		return "that command has no target";
	if (line.size > IPC_TEXT_MAX || has_control_character(line))
		return "that can be no user, address or session";
	if (row->target == TARGET_MUST && !line.size)
		return row->target_missing;
	ret->row = row;
	ret->target = line;
	if (row->steps[0].kind != STEP_BAN)
		return NULL;
	return ban_parse(row->steps[0].what == BANS_LIST ? SPAN_LITERAL("list") : line, &ret->ban,
			 &ret->target);
}
