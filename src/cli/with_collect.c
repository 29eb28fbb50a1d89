/* See with_collect.h. */
#include "cli/with_collect.h"

#include "base/descriptor.h"
#include "base/text.h"
#include "config/listener.h"
#include "sys/tls_certificate.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define PASSWORD_VARIABLE "VALIJA_TRY_PASSWORD"
#define NEW "/mail/new"

enum {
	FOLDER_SIZE = 256,
	TEXT_MAX = 128 * 1024, /* of a message: longer ones come without their bodies */
	PINS_MAX = 4,          /* that `valija fetch` takes */
	SIGNALS = 3,
};

struct collector {
	const struct secret *password;
	char folder[FOLDER_SIZE];
	char url[3 * CONFIG_NAME_MAX + CONFIG_PATH_MAX + 32];
	char state[FOLDER_SIZE + 16], place[FOLDER_SIZE + 16];
	const char *tls; /* as `valija fetch` names it */
	char pins[PINS_MAX][TLS_CERTIFICATE_PIN_SIZE];
	uint32_t pin_count;
	char way[2 * CONFIG_PATH_MAX + 128];
	char found[FOLDER_SIZE + 300];
	size_t size;
	struct sigaction before[SIGNALS];
};

static const int signals[SIGNALS] = {SIGINT, SIGTERM, SIGHUP};
static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

bool collector_interrupted(void)
{
	return interrupted;
}

/* ---- the way to the server ---- */

/* As this machine reaches it. */
static struct config_listener reached(const struct config_listener *listener)
{
	struct config_listener copy = *listener;

	if (strcmp(copy.address, "0.0.0.0") == 0 ||
	    (strcmp(copy.address, "::") == 0 && !copy.only_six))
		strcpy(copy.address, "127.0.0.1");
	else if (strcmp(copy.address, "::") == 0)
		strcpy(copy.address, "::1");
	return copy;
}

/* As `valija fetch` names it; NULL: no password may be shown there. */
static const char *protection(const struct config *config, const struct config_listener *listener)
{
	if (listener->service == SERVICE_POP3S)
		return "implicit";
	if (listener->service != SERVICE_POP3)
		return NULL;
	if (config->plain_without_tls ||
	    (config->plain_on_loopback && config_listener_is_local(listener)))
		return "none";
	return config->certificate_count ? "starttls" : NULL;
}

static void make_url(struct collector *collector, const char *login, const char *at)
{
	size_t used = (size_t)snprintf(collector->url, sizeof(collector->url), "pop3://");

	for (; *login && used + 4 < sizeof(collector->url); login++)
		used += (size_t)snprintf(collector->url + used, sizeof(collector->url) - used,
					 isalnum((unsigned char)*login) ? "%c" : "%%%02X",
					 (unsigned char)*login);
	snprintf(collector->url + used, sizeof(collector->url) - used, "@%s", at);
}

/* Names are not checked: the key is that of a certificate of ours. */
static int add_pins(struct collector *collector, const struct config *config, struct err *err)
{
	for (uint32_t i = 0; i < config->certificate_count && i < PINS_MAX; i++)
		if (tls_certificate_pin(config->certificates[i].certificate,
					collector->pins[collector->pin_count++], err) < 0)
			return -1;
	return 0;
}

static int choose(struct collector *collector, const struct config *config, const char *login,
		  struct err *err)
{
	char at[CONFIG_PATH_MAX + 16];

	for (uint32_t i = 0; i < config->listener_count; i++) {
		struct config_listener listener = reached(&config->listeners[i]);

		collector->tls = protection(config, &listener);
		if (!collector->tls)
			continue;
		config_listener_print(&listener, at, sizeof(at));
		make_url(collector, login, at);
		if (strcmp(collector->tls, "none") == 0) {
			snprintf(collector->way, sizeof(collector->way), "POP3 at %s", at);
			return 0;
		}
		snprintf(collector->way, sizeof(collector->way),
			 "%s at %s; its key is that of %.400s",
			 listener.service == SERVICE_POP3S ? "POP3S" : "POP3 with STLS", at,
			 config->certificates[0].certificate);
		return add_pins(collector, config, err);
	}
	return err_set(
		err, EX_CONFIG,
		"%s: no POP3 or POP3S socket at which a password may be sent: pop3s { listen = "
		"... }",
		config->file);
}

/* ---- the folder ---- */

static int make_folder(struct collector *collector, struct err *err)
{
	const char *parent = getenv("TMPDIR");
	int n = snprintf(collector->folder, sizeof(collector->folder), "%s/valija-try-XXXXXX",
			 parent && *parent == '/' ? parent : "/tmp");

	if ((size_t)n >= sizeof(collector->folder) || !mkdtemp(collector->folder)) {
		collector->folder[0] = '\0';
		return err_sys(err, EX_CANTCREAT, (size_t)n >= FOLDER_SIZE ? ENAMETOOLONG : errno,
			       "a folder for the message");
	}
	snprintf(collector->state, sizeof(collector->state), "%s/state", collector->folder);
	snprintf(collector->place, sizeof(collector->place), "maildir:%s/mail", collector->folder);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int collector_open(const struct config *config, const char *login, const struct secret *password,
		   struct collector **ret, struct err *err)
{
	struct collector *collector = calloc(1, sizeof(*collector));
	struct sigaction action = {.sa_handler = interrupt}; /* no SA_RESTART: waits end */

	if (!collector)
		return err_set(err, EX_OSERR, "out of memory");
	collector->password = password;
	if (choose(collector, config, login, err) < 0) {
		free(collector);
		return -1;
	}
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &action, &collector->before[i]);
	if (make_folder(collector, err) < 0) {
		collector_close(collector);
		return -1;
	}
	*ret = collector;
	return 0;
}

void collector_close(struct collector *collector)
{
	if (!collector)
		return;
	if (collector->folder[0] &&
	    nftw(collector->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
		fprintf(stderr, "valija init: %s cannot be removed: %s\n", collector->folder,
			strerror(errno));
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &collector->before[i], NULL);
	free(collector);
}

const char *collector_way(const struct collector *collector)
{
	return collector->way;
}

bool collector_has_tls(const struct collector *collector)
{
	return collector->pin_count > 0;
}

/* ---- runs of `valija fetch` ---- */

/* The Maildir must stay while it runs: a message that is missing there is deleted on the server. */
static int wait_for(pid_t pid)
{
	bool ended = false;
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return EX_OSERR;
		if (interrupted && !ended)
			kill(pid, SIGTERM);
		ended = interrupted;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

static int run(struct collector *collector, const char *more, struct err *err)
{
	const char *argv[32] = {"valija",         "fetch",
				"--quiet",        "--follow",
				"--state",        collector->state,
				"--to",           collector->place,
				"--tls",          collector->tls,
				"--password-env", PASSWORD_VARIABLE,
				"--timeout",      "10",
				"--max-size",     "64K"};
	int n = 16, code;
	pid_t pid;

	for (uint32_t i = 0; i < collector->pin_count; i++) {
		argv[n++] = "--pin";
		argv[n++] = collector->pins[i];
	}
	if (more)
		argv[n++] = more;
	argv[n] = collector->url;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setenv(PASSWORD_VARIABLE, collector->password->bytes, 1);
		execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
		_exit(EX_OSFILE);
	}
	if (pid < 0)
		return err_sys(err, EX_OSERR, errno, "fork");
	code = wait_for(pid);
	if (interrupted)
		return err_set(err, EX_TEMPFAIL, "interrupted");
	return code == 0 ? 0 : err_set(err, code, "valija fetch ended with status %d", code);
}

int collector_begin(struct collector *collector, struct err *err)
{
	return run(collector, "--mark-seen", err);
}

/* ---- what came ---- */

static enum collected judge(const char *text, const char *token)
{
	char line[128];
	const char *end = strstr(text, "\n\n"), *id;

	snprintf(line, sizeof(line), "\nMessage-ID: <%s", token);
	id = strstr(text, line);
	if (id && (!end || id < end))
		return COLLECTED_MESSAGE;
	return strstr(text, token) ? COLLECTED_RETURNED : COLLECTED_NONE;
}

static enum collected read_one(struct collector *collector, const char *name, const char *token)
{
	char path[sizeof(collector->found)];
	enum collected judged = COLLECTED_NONE;
	char *text = malloc(TEXT_MAX + 1);
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s" NEW "/%s", collector->folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	n = fd < 0 || !text ? -1 : read_all(fd, text, TEXT_MAX);
	if (n >= 0) {
		text[n] = '\0';
		judged = judge(text, token);
	}
	if (judged == COLLECTED_MESSAGE) {
		strcpy(collector->found, path);
		collector->size = (size_t)n;
	}
	free(text);
	if (fd >= 0)
		close(fd);
	return judged;
}

int collector_look(struct collector *collector, const char *token, enum collected *ret,
		   struct err *err)
{
	char path[FOLDER_SIZE + 16];
	struct dirent *entry;
	DIR *folder;

	*ret = COLLECTED_NONE;
	if (run(collector, NULL, err) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s" NEW, collector->folder);
	folder = opendir(path);
	if (!folder)
		return err_sys(err, EX_IOERR, errno, "%s", path);
	while (*ret != COLLECTED_MESSAGE && (entry = readdir(folder)) != NULL)
		if (entry->d_name[0] != '.') {
			enum collected judged = read_one(collector, entry->d_name, token);

			*ret = judged == COLLECTED_NONE ? *ret : judged;
		}
	closedir(folder);
	return 0;
}

size_t collector_size(const struct collector *collector)
{
	return collector->size;
}

int collector_delete(struct collector *collector, struct err *err)
{
	if (unlink(collector->found) < 0)
		return err_sys(err, EX_IOERR, errno, "%s", collector->found);
	return run(collector, "--accept-removals", err);
}
