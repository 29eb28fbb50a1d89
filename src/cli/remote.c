/*
 * See remote.h. Runs with the rights of the person who calls it: the folder of grants is of the
 * system user who spends them, so it is root, or that one. A consent is asked for by `valija fetch
 * login`, which knows the ways to it: its configuration is made here, and it hands the grant back
 * to `valija remote grant`, as to a keyring.
 */
#include "cli/remote.h"

#include "base/descriptor.h"
#include "base/secret.h"
#include "base/text.h"
#include "cli/asker.h"
#include "cli/command.h"
#include "config/database.h"
#include "oauth/grant_folder.h"
#include "sys/sandbox.h"
#include "users/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_MS = 10 * 1000 };

struct request {
	const char *command, *config_file, *database_name, *user;
	char key[USER_NAME_MAX + 1];
	struct config config;
	const struct config_database *database;
	uid_t owner;
	gid_t group;
	int folder;
};

static int usage(FILE *out, int status)
{
	fputs("usage: valija remote login [-c CONF] [--database NAME] USER\n"
	      "       valija remote grant [-c CONF] [--database NAME] USER < GRANT\n"
	      "       valija remote grants [-c CONF] [--database NAME]\n"
	      "       valija remote check [-c CONF] [--database NAME] USER\n"
	      "       valija remote forget [-c CONF] [--database NAME] USER\n",
	      out);
	return status;
}

static int parse(int argc, char **argv, struct request *ret)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"database", required_argument, NULL, 'd'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int c;

	ret->command = argc > 1 ? argv[1] : "";
	optind = 0;
	while ((c = getopt_long(argc - 1, argv + 1, "c:h", options, NULL)) != -1) {
		if (c == 'c')
			ret->config_file = optarg;
		else if (c == 'd')
			ret->database_name = optarg;
		else
			return c == 'h' ? 1 : -1;
	}
	ret->user = argv[1 + optind];
	if (strcmp(ret->command, "grants") == 0)
		return ret->user ? -1 : 0;
	return ret->user && optind + 2 == argc ? 0 : -1;
}

/* ---- the database ---- */

static bool has_grants(const struct config *config, const struct config_database *database)
{
	return database->driver == DRIVER_OAUTH &&
	       *config_database_text(config, database, "token_url");
}

static int choose(struct request *request, struct err *err)
{
	const struct config *config = &request->config;

	for (uint32_t i = 0; i < config->database_count; i++) {
		const struct config_database *database = &config->databases[i];

		if (request->database_name ? strcmp(database->name, request->database_name) != 0
					   : !has_grants(config, database))
			continue;
		if (request->database)
			return err_set(err, EX_USAGE, "which database? --database %s or %s",
				       request->database->name, database->name);
		request->database = database;
	}
	if (request->database && has_grants(config, request->database))
		return 0;
	return err_set(err, EX_CONFIG,
		       request->database_name
			       ? "there is no database \"%s\" with driver = oauth and token_url"
			       : "no database has grants: one with driver = oauth and token_url",
		       request->database_name);
}

static const char *text(const struct request *request, const char *name)
{
	return config_database_text(&request->config, request->database, name);
}

/* Made where it is missing, as root: it is the other user's alone. */
static int open_folder(struct request *request, struct err *err)
{
	const char *path = text(request, "grants");

	request->owner = geteuid();
	request->group = getegid();
	if (request->owner == 0 &&
	    sandbox_user(text(request, "user"), &request->owner, &request->group, err) < 0)
		return -1;
	if (mkdir(path, 0700) == 0) {
		if (geteuid() == 0 && chown(path, request->owner, request->group) < 0)
			return err_sys(err, EX_CANTCREAT, errno, "cannot give %s away", path);
	} else if (errno != EEXIST) {
		return err_sys(err, EX_CANTCREAT, errno, "cannot make %s", path);
	}
	request->folder = grant_folder_open(path, request->owner, err);
	return request->folder < 0 ? -1 : 0;
}

static int open_file(const struct request *request, struct grant_file *ret, struct err *err)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return grant_file_open(request->folder, request->key, request->owner,
			       (int64_t)now.tv_sec * 1000 + LOCK_MS, ret, err);
}

/* ---- grant, forget ---- */

static int read_input(char *buf, size_t cap, size_t *ret, struct err *err)
{
	size_t used = 0;
	ssize_t n;

	while ((n = read(STDIN_FILENO, buf + used, cap - used)) > 0)
		used += (size_t)n;
	*ret = used;
	return n == 0 ? 0 : err_sys(err, EX_NOINPUT, errno, "cannot read standard input");
}

static int take_grant(struct request *request, struct err *err)
{
	char *buf = malloc(GRANT_TEXT_MAX);
	struct grant *grant = malloc(sizeof(*grant));
	struct grant_file file;
	size_t size = 0;
	int rc = -1;

	if (!buf || !grant) {
		free(buf);
		free(grant);
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	}
	grant_init(grant);
	if (read_input(buf, GRANT_TEXT_MAX, &size, err) == 0) {
		if (grant_read((pop3_span){buf, size}, grant) < 0)
			err_set(err, EX_DATAERR,
				"standard input is no grant: it begins with \"valija-grant 1\" and "
				"ends with \"end\"");
		else if (open_file(request, &file, err) == 0) {
			rc = grant_file_save(&file, grant, err);
			grant_file_close(&file);
		}
	}
	grant_finish(grant);
	free(grant);
	wipe(buf, GRANT_TEXT_MAX);
	free(buf);
	return rc;
}

static int forget(struct request *request, struct err *err)
{
	struct grant_file file;
	int rc;

	if (open_file(request, &file, err) < 0)
		return -1;
	rc = grant_file_remove(&file, err);
	grant_file_close(&file);
	return rc;
}

/* ---- grants ---- */

static void print_day(const char *what, int64_t seconds)
{
	time_t at = (time_t)seconds;
	struct tm day;
	char shown[32];

	if (seconds > 0 && gmtime_r(&at, &day) && strftime(shown, sizeof(shown), "%F", &day))
		printf("  %s %s", what, shown);
}

static void print_grant(struct request *request, const char *name)
{
	struct grant *grant = malloc(sizeof(*grant));
	struct grant_file file;
	struct err err = {0};

	if (!grant)
		return;
	grant_init(grant);
	snprintf(request->key, sizeof(request->key), "%s", name);
	printf("%s", name);
	if (open_file(request, &file, &err) == 0) {
		if (grant_file_load(&file, grant, &err) > 0) {
			print_day("consent", grant->granted);
			print_day("refreshed", grant->refreshed);
			if (!grant->refresh.size)
				printf("  no refresh token");
		}
		grant_file_close(&file);
	}
	printf("%s%s\n", err.code ? "  " : "", err.code ? err.text : "");
	grant_finish(grant);
	free(grant);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_grant(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return n > 6 && strcmp(entry->d_name + n - 6, ".grant") == 0;
}

static int list(struct request *request, struct err *err)
{
	struct dirent **entries;
	int count = scandirat(request->folder, ".", &entries, is_grant, by_name);

	if (count < 0)
		return err_sys(err, EX_NOINPUT, errno, "cannot read the folder of grants");
	for (int i = 0; i < count; i++) {
		entries[i]->d_name[strlen(entries[i]->d_name) - 6] = '\0';
		print_grant(request, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return 0;
}

/* ---- check ---- */

/* The program that a session's token comes from is asked, with its rights and walls. */
static int check(struct request *request, struct err *err)
{
	struct asker_answer *answer = calloc(1, sizeof(*answer));
	int rc;

	if (!answer)
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	rc = asker_access(&request->config, request->database, span_of(request->key), answer, err);
	if (rc == 0 && answer->status == LOOKUP_FOUND)
		printf("%s: there is a good access token\n", request->key);
	else if (rc == 0 && answer->status == LOOKUP_UNKNOWN)
		rc = err_set(err, EX_NOUSER, "%s has not consented: valija remote login %s",
			     request->key, request->key);
	else if (rc == 0)
		rc = err_set(err, answer->status == LOOKUP_REFUSED ? EX_NOPERM : EX_TEMPFAIL, "%s",
			     answer->said);
	wipe(answer, sizeof(*answer));
	free(answer);
	return rc;
}

/* ---- login ---- */

/* A string of fetch.conf, in quotes. */
static void put_text(FILE *out, const char *name, const char *value)
{
	if (!*value)
		return;
	fprintf(out, "\t%s = \"", name);
	for (; *value; value++)
		fprintf(out, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
	fputs("\"\n", out);
}

/* A word of a shell command, in apostrophes. */
static void put_word(FILE *out, const char *word)
{
	fputs(" '", out);
	for (; *word; word++)
		fprintf(out, *word == '\'' ? "'\\''" : "%c", *word);
	fputs("'", out);
}

/* The command that gets the grant from `valija fetch login`. The caller frees it; NULL: no memory.
 */
static char *store_command(const struct request *request)
{
	char program[CONFIG_PATH_MAX], *ret = NULL;
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	size_t size;
	FILE *out = n > 0 ? open_memstream(&ret, &size) : NULL;

	if (!out)
		return NULL;
	program[n] = '\0';
	fputs("exec", out);
	put_word(out, program);
	fputs(" remote grant -c", out);
	put_word(out, command_config(request->config_file));
	fputs(" --database", out);
	put_word(out, request->database->name);
	fputs(" --", out);
	put_word(out, request->user);
	if (fclose(out) == 0)
		return ret;
	free(ret);
	return NULL;
}

/* Nobody connects there: an account of fetch.conf has to name a user. */
static void put_server(FILE *out, const char *user)
{
	fputs("\tserver = \"pop3s://", out);
	for (; *user; user++)
		fprintf(out, "%%%02X", (unsigned char)*user);
	fputs("@consent.invalid\"\n", out);
}

/* The secret of the client, without its line end. */
static int read_secret(const struct request *request, char *buf, size_t size, struct err *err)
{
	const char *path = text(request, "client_secret_file");
	ssize_t n;
	int fd;

	buf[0] = '\0';
	if (!*path)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (n < 0)
		err_sys(err, EX_NOINPUT, errno, "cannot read client_secret_file %s", path);
	close_fd(&fd);
	if (n < 0)
		return -1;
	buf[n] = '\0';
	buf[strcspn(buf, "\r\n")] = '\0';
	return 0;
}

static int write_fetch_conf(const struct request *request, FILE *out, struct err *err)
{
	char secret[512], *command;

	if (read_secret(request, secret, sizeof(secret), err) < 0)
		return -1;
	command = store_command(request);
	if (!command)
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	fprintf(out, "oauth \"provider\" {\n");
	put_text(out, "token", text(request, "token_url"));
	put_text(out, "device", text(request, "device_url"));
	put_text(out, "authorize", text(request, "authorize_url"));
	put_text(out, "scope", text(request, "request_scope"));
	put_text(out, "client-id", text(request, "client_id"));
	put_text(out, "client-secret", secret);
	wipe(secret, sizeof(secret));
	fprintf(out, "}\naccount \"consent\" {\n");
	put_server(out, request->user);
	put_text(out, "oauth", "provider");
	put_text(out, "token-lookup", "true");
	put_text(out, "token-store", command);
	put_text(out, "to", "maildir:/dev/null/none");
	fprintf(out, "}\n");
	free(command);
	return 0;
}

/* In memory, because a secret stands in it. */
static int make_fetch_conf(const struct request *request, struct err *err)
{
	int fd = memfd_create("fetch.conf", 0), copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *out = copy < 0 ? NULL : fdopen(copy, "w");
	int rc;

	if (!out) {
		close_fd(&copy);
		close_fd(&fd);
		return err_sys(err, EX_OSERR, errno, "no memory for a configuration");
	}
	rc = fchmod(fd, 0600) < 0 ? -1 : write_fetch_conf(request, out, err);
	if (fclose(out) != 0 && rc == 0)
		rc = err_sys(err, EX_OSERR, errno, "no memory for a configuration");
	if (rc < 0)
		close_fd(&fd);
	return rc < 0 ? -1 : fd;
}

static int run_fetch(const struct request *request, int conf, const char *state, struct err *err)
{
	char name[64];
	const char *argv[] = {"valija",  "fetch", "login",        "-c",      name,
			      "--state", state,   "--no-browser", "consent", NULL};
	int status;
	pid_t pid;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", conf);
	pid = fork();
	if (pid == 0) {
		execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
		_exit(EX_OSERR);
	}
	if (pid < 0)
		return err_sys(err, EX_OSERR, errno, "fork");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(err, WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE,
		       "there is no consent of %s: see above", request->user);
}

/* Its locks, and nothing else: the grant goes to the folder. */
static void remove_state(const char *state)
{
	char path[CONFIG_PATH_MAX];
	const char *ends[] = {"", "-grants"};

	for (size_t i = 0; i < 2; i++) {
		struct dirent *entry;
		DIR *dir;

		snprintf(path, sizeof(path), "%s%s", state, ends[i]);
		dir = opendir(path);
		while (dir && (entry = readdir(dir)) != NULL)
			if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
				unlinkat(dirfd(dir), entry->d_name, 0);
		if (dir)
			closedir(dir);
		rmdir(path);
	}
}

static int login(struct request *request, struct err *err)
{
	const char *folder = getenv("TMPDIR");
	char state[CONFIG_PATH_MAX / 2];
	int conf = make_fetch_conf(request, err), rc;

	if (conf < 0)
		return -1;
	snprintf(state, sizeof(state), "%.200s/valija-consent-XXXXXX",
		 folder && *folder ? folder : "/tmp");
	if (!mkdtemp(state)) {
		close(conf);
		return err_sys(err, EX_CANTCREAT, errno, "cannot make %s", state);
	}
	rc = run_fetch(request, conf, state, err);
	close(conf);
	remove_state(state);
	return rc;
}

/* ---- the command ---- */

static int run(struct request *request, struct err *err)
{
	static const struct {
		const char *name;
		int (*run)(struct request *request, struct err *err);
	} commands[] = {{"login", login},
			{"grant", take_grant},
			{"grants", list},
			{"check", check},
			{"forget", forget}};
	pop3_span key;

	if (config_load(command_config(request->config_file), &request->config, err) < 0)
		return -1;
	if (request->user) {
		if (!user_name_valid(span_of(request->user)))
			return err_set(err, EX_USAGE, "%.80s is not a valid name of a user",
				       request->user);
		key = user_name_key(span_of(request->user), request->key);
		request->key[key.size] = '\0';
	}
	if (choose(request, err) < 0 || open_folder(request, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, request->command) == 0)
			return commands[i].run(request, err);
	return err_set(err, EX_USAGE, "there is no \"valija remote %.40s\"", request->command);
}

int remote_main(int argc, char **argv)
{
	struct request *request = calloc(1, sizeof(*request));
	struct err err = {0};
	int rc;

	if (!request)
		return EX_OSERR;
	request->folder = -1;
	rc = parse(argc, argv, request);
	if (rc != 0) {
		free(request);
		return rc > 0 ? usage(stdout, EX_OK) : usage(stderr, EX_USAGE);
	}
	rc = run(request, &err) < 0 ? command_failed("remote", &err) : EX_OK;
	close_fd(&request->folder);
	free(request);
	return rc;
}
