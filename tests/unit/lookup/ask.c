/* Asks the driver of a database, in its sandbox, without auth: lookup_ask_DRIVER CONFIGURATION. The
 * first database of the configuration is asked what stands on the lines of standard input:
 *   find PURPOSE MILLISECONDS NAME…        password PURPOSE MILLISECONDS NAME [PASSWORD]
 * separated by tabs. An answer is one line: status, number of the name, milliseconds, why, then
 * FIELD=VALUE…, separated by tabs. For tests/system. */
#include "lookup/driver.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

static const char *const statuses[LOOKUP_STATUSES] = {
	[LOOKUP_FOUND] = "found", [LOOKUP_UNKNOWN] = "unknown",
	[LOOKUP_WRONG] = "wrong", [LOOKUP_REFUSED] = "refused",
	[LOOKUP_DOWN] = "down",   [LOOKUP_BAD_ENTRY] = "bad entry"};
static const char *const purposes[LOOKUP_PURPOSES] = {[LOOKUP_LOGIN] = "login",
						      [LOOKUP_RECIPIENT] = "recipient",
						      [LOOKUP_SASL] = "sasl",
						      [LOOKUP_CLI] = "cli"};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* What the monitor does: the files of secrets, as name NUL value NUL. */
static size_t read_secrets(const struct config *config, char *buf, size_t size)
{
	const struct config_database *database = &config->databases[0];
	size_t used = 0;

	for (size_t i = 0; i < config_database_key_count(); i++) {
		const struct database_key *key = config_database_key(i);
		const char *path;
		FILE *file;

		if (key->kind != DATABASE_SECRET || !(key->drivers & 1u << database->driver))
			continue;
		path = config_database_text(config, database, key->name);
		file = *path ? fopen(path, "r") : NULL;
		if (!file)
			continue;
		used += (size_t)snprintf(buf + used, size - used, "%s", key->name) + 1;
		used += fread(buf + used, 1, size - used - 1, file);
		while (used && buf[used - 1] == '\n')
			used--;
		buf[used++] = '\0';
		fclose(file);
	}
	return used;
}

static int read_question(char *line, struct lookup_question *ret)
{
	char *at = line, *words[4 + IPC_LOOKUP_NAMES_MAX];
	unsigned count = 0;

	line[strcspn(line, "\n")] = '\0';
	while (count < 4 + IPC_LOOKUP_NAMES_MAX && (words[count] = strsep(&at, "\t")))
		count++;
	if (count < 4)
		return -1;
	*ret = (struct lookup_question){.service = "pop3", .kind = LOOKUP_FIND};
	for (unsigned i = 0; i < LOOKUP_PURPOSES; i++)
		if (strcmp(words[1], purposes[i]) == 0)
			ret->purpose = (enum lookup_purpose)i;
	ret->deadline = now_ms() + strtoul(words[2], NULL, 10);
	for (unsigned i = 3; i < count; i++)
		ret->names[ret->name_count++] = words[i];
	if (strcmp(words[0], "password") == 0) {
		ret->kind = LOOKUP_PASSWORD;
		ret->secret =
			(pop3_span){count > 4 ? words[4] : "", count > 4 ? strlen(words[4]) : 0};
		ret->name_count = 1;
	}
	return 0;
}

static void print(const struct lookup_answer *answer, uint64_t ms)
{
	printf("%s\t%u\t%u\t%s", statuses[answer->status], answer->matched, (unsigned)ms,
	       answer->status == LOOKUP_DOWN || answer->status == LOOKUP_BAD_ENTRY ? answer->why
										   : "");
	for (size_t at = 0; answer->status == LOOKUP_FOUND && at < answer->size;) {
		const char *value = answer->fields + at + strlen(answer->fields + at) + 1;

		printf("\t%s=%s", answer->fields + at, value);
		at = (size_t)(value - answer->fields) + strlen(value) + 1;
	}
	putchar('\n');
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct config config;
	static char line[65536], secrets[65536];
	struct sandbox sandbox = {.role = SANDBOX_LOOKUP, .allow_connect = true};
	struct lookup_database database = {.config = &config, .settings = &config.databases[0]};
	void *state, *connection = NULL;
	struct err err;

	if (argc != 2 || config_load(argv[1], &config, &err) < 0 || !config.database_count) {
		fprintf(stderr, "%s\n", argc == 2 ? err.text : "one argument: a configuration");
		return EX_CONFIG;
	}
	database.secrets = secrets;
	database.secrets_size = read_secrets(&config, secrets, sizeof(secrets));
	if (lookup_driver.open(&database, &sandbox, &state, &err) < 0 ||
	    sandbox_enter(&sandbox, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return EX_CONFIG;
	}
	while (fgets(line, sizeof(line), stdin)) {
		static struct lookup_answer answer;
		struct lookup_question question;
		uint64_t begin = now_ms();

		if (read_question(line, &question) < 0)
			return EX_USAGE;
		answer = (struct lookup_answer){.status = LOOKUP_UNKNOWN};
		lookup_driver.ask(state, &connection, &question, &answer);
		print(&answer, now_ms() - begin);
	}
	return EX_OK;
}
