/* `valija upgrade`: a server that runs becomes the program that is installed. Its answer crosses
 * the exec: the process control that was asked goes on in the old generation. Where that one ends
 * before it has answered, the program that serves is asked what came of it. See control_commands.h.
 */
#include "cli/control_commands.h"

#include "cli/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum {
	TEXT_MAX = 512,
	LOOK_MS = 200,         /* between two looks at a server that cut the connection */
	GONE_MS = 15 * 1000,   /* it is not reached for so long: it has ended */
	UNASKED_MS = 2 * 1000, /* nothing is under way for so long: it was not asked */
	LOOK_SECONDS = 10,     /* for the answer to a look */
};

/* The line "program". */
struct program {
	char version[64], path[TEXT_MAX], last[16], reason[2 * TEXT_MAX];
	bool upgrading;
	unsigned long long upgrades;
};

struct upgraded {
	char before[64], now[64], path[TEXT_MAX];
	unsigned long long ms, serving, older; /* older: sessions of other generations */
	bool done, timed, counted, drained;
};

static unsigned long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000;
}

static void copy(char *to, size_t room, const char *field)
{
	snprintf(to, room, "%s", strcmp(field, "-") == 0 ? "" : field);
}

static int look(struct control_link *link, struct program *ret, struct err *err)
{
	int rc = control_link_ask(link, "show program", NULL, err);
	bool there = false;

	while (rc == 0 && (rc = control_link_next(link, err)) > 0) {
		rc = 0;
		if (!control_link_is(link, "program", 8))
			continue;
		there = true;
		copy(ret->version, sizeof(ret->version), link->fields[1]);
		copy(ret->path, sizeof(ret->path), link->fields[2]);
		ret->upgrading = strcmp(link->fields[4], "upgrading") == 0;
		ret->upgrades = control_link_number(link, 5);
		copy(ret->last, sizeof(ret->last), link->fields[6]);
		copy(ret->reason, sizeof(ret->reason), link->fields[7]);
	}
	if (rc == 0 && !there)
		return err_set(err, EX_PROTOCOL, "the server does not say which program it is");
	return rc;
}

static void take_line(const struct control_link *link, struct upgraded *upgraded)
{
	if (control_link_is(link, "upgraded", 5)) {
		copy(upgraded->before, sizeof(upgraded->before), link->fields[1]);
		copy(upgraded->now, sizeof(upgraded->now), link->fields[2]);
		copy(upgraded->path, sizeof(upgraded->path), link->fields[3]);
		upgraded->ms = control_link_number(link, 4);
		upgraded->done = upgraded->timed = true;
	} else if (control_link_is(link, "serving", 2)) {
		upgraded->serving = control_link_number(link, 1);
	} else if (control_link_is(link, "drained", 1)) {
		upgraded->drained = true;
	} else if (control_link_is(link, "connections", 3)) {
		upgraded->counted = true;
		if (control_link_number(link, 1) != upgraded->serving)
			upgraded->older += control_link_number(link, 2);
	}
}

static int not_upgraded(const struct program *before, const char *why, struct err *err)
{
	return err_set(err, EX_SOFTWARE, "not upgraded, valijad %s goes on: %s", before->version,
		       why);
}

static int took_too_long(unsigned seconds, struct err *err)
{
	return err_set(
		err, EX_TEMPFAIL,
		"not over within %u seconds, and it goes on: `valija show program` tells what "
		"comes of it",
		seconds);
}

/* The connection was cut: its process ended, or valijad did. Asks until the upgrade is over. */
static int find_out(struct control_link *link, const struct control_arguments *arguments,
		    const struct program *before, unsigned long long until,
		    struct upgraded *upgraded, struct err *err)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000 * 1000L};
	unsigned long long reached = now_ms(), seen = reached, now;
	struct program program;

	for (; (now = now_ms()) < until; nanosleep(&pause, NULL)) {
		if (control_link_again(link, LOOK_SECONDS, err) < 0 ||
		    look(link, &program, err) < 0) {
			if (now - reached > GONE_MS)
				return err_prefix(err, "valijad has ended, see its log");
			continue;
		}
		reached = now;
		if (program.upgrading || program.upgrades == before->upgrades) {
			if (program.upgrading)
				seen = now;
			if (now - seen > UNASKED_MS)
				return err_set(err, EX_TEMPFAIL,
					       "the server was not asked, its process for commands "
					       "ended: try again");
			continue;
		}
		if (strcmp(program.last, "upgraded") != 0)
			return not_upgraded(before, program.reason, err);
		upgraded->done = true;
		copy(upgraded->before, sizeof(upgraded->before), before->version);
		copy(upgraded->now, sizeof(upgraded->now), program.version);
		copy(upgraded->path, sizeof(upgraded->path), program.path);
		return 0;
	}
	return took_too_long(arguments->seconds, err);
}

static void print_json(const struct upgraded *upgraded)
{
	fputs("{\"format\": 1, \"before\": ", stdout);
	print_json_text(upgraded->before);
	print_json_member("now", upgraded->now);
	print_json_member("file", upgraded->path);
	if (upgraded->timed)
		printf(", \"ms\": %llu, \"generation\": %llu", upgraded->ms, upgraded->serving);
	else
		fputs(", \"ms\": null, \"generation\": null", stdout);
	if (upgraded->counted)
		printf(", \"older_sessions\": %llu", upgraded->older);
	else
		fputs(", \"older_sessions\": null", stdout);
	printf(", \"drained\": %s}\n", upgraded->drained ? "true" : "false");
}

static void print(const struct upgraded *upgraded)
{
	if (strcmp(upgraded->before, upgraded->now) == 0)
		printf("upgraded: valijad %s, started anew from %s", upgraded->now, upgraded->path);
	else
		printf("upgraded: valijad %s -> %s, from %s", upgraded->before, upgraded->now,
		       upgraded->path);
	if (upgraded->timed)
		printf(", in %llu.%llu s; generation %llu serves", upgraded->ms / 1000,
		       upgraded->ms % 1000 / 100, upgraded->serving);
	putchar('\n');
	if (upgraded->counted && upgraded->older)
		printf("%llu session%s in the program from before until %s\n", upgraded->older,
		       upgraded->older == 1 ? " goes on" : "s go on",
		       upgraded->older == 1 ? "it ends" : "they end");
	if (upgraded->drained)
		puts("it is drained still: `valija reload` takes new sessions again");
}

int control_upgrade(struct control_link *link, const struct control_arguments *arguments,
		    int *ret_code, struct err *err)
{
	unsigned long long until = now_ms() + arguments->seconds * 1000ull;
	struct upgraded upgraded = {.done = false};
	struct program before;
	int rc = look(link, &before, err);

	(void)ret_code;
	if (rc < 0)
		return rc;
	rc = control_link_ask(link, "upgrade", NULL, err);
	while (rc == 0 && (rc = control_link_next(link, err)) > 0) {
		rc = 0;
		take_line(link, &upgraded);
	}
	if (rc < 0 && !upgraded.done) {
		if (link->cut && link->silent)
			return took_too_long(arguments->seconds, err);
		if (!link->cut)
			return err->code == EX_SOFTWARE
				       ? not_upgraded(&before, link->fields[1], err)
				       : rc;
		rc = find_out(link, arguments, &before, until, &upgraded, err);
		if (rc < 0)
			return rc;
	}
	if (arguments->json)
		print_json(&upgraded);
	else
		print(&upgraded);
	return 0;
}
