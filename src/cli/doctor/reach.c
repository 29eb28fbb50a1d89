/*
 * Of finding.h: whether the server answers. POP3 and POP3S by `valija fetch doctor`, as a mail
 * program would: greeting, TLS with its chain, CAPA. Others by a connection and the first line.
 */
#include "cli/doctor/finding.h"

#include "cli/control_link.h"
#include "sys/tls_certificate.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	SECONDS = 8,
	OUT_MAX = 8192,
	NAMED_MAX = 8, /* certificates beside the first whose names are tried at each listener */
};

static const char *const names[] = {"POP3",      "POP3S",  "LMTP",    "SASL",
				    "socketmap", "policy", "control", "HTTP"};
_Static_assert(sizeof(names) / sizeof(names[0]) == SERVICE_COUNT, "a service without a name");

/* An address that listens for all is reached at loopback. */
static const char *host_of(const struct config_listener *listener)
{
	if (strcmp(listener->address, "0.0.0.0") == 0)
		return "127.0.0.1";
	return strcmp(listener->address, "::") == 0 ? "::1" : listener->address;
}

static void place_of(const struct config_listener *listener, char *buf, size_t size)
{
	if (!listener->port)
		snprintf(buf, size, "%s", listener->address);
	else
		snprintf(buf, size, strchr(listener->address, ':') ? "[%s]:%u" : "%s:%u",
			 host_of(listener), listener->port);
}

/* ---- as a mail program ---- */

/* as: the name that is asked for. tls: as --tls has it. ca: NULL: the authorities that this machine
 * trusts. */
static int visit(const char *as, const char *place, const char *tls, const char *ca,
		 char out[OUT_MAX])
{
	char program[] = "/proc/self/exe", host[CONFIG_NAME_MAX], mode[16], where[CONFIG_PATH_MAX],
	     file[CONFIG_PATH_MAX], timeout[16], fetch[] = "fetch", look[] = "doctor",
	     a[] = "--tls-name", b[] = "--tls", c[] = "--timeout", d[] = "--ca";
	char *argv[] = {program, fetch,   look,  a,    host, b,   mode,
			c,       timeout, where, NULL, NULL, NULL};

	snprintf(host, sizeof(host), "%s", as);
	snprintf(mode, sizeof(mode), "%s", tls);
	snprintf(where, sizeof(where), "%s", place);
	snprintf(timeout, sizeof(timeout), "%d", SECONDS);
	if (ca) {
		snprintf(file, sizeof(file), "%s", ca);
		argv[9] = d;
		argv[10] = file;
		argv[11] = where;
	}
	setenv("XDG_CONFIG_HOME", "/nonexistent", 1); /* no person's accounts */
	return check_program(argv, out, OUT_MAX);
}

/* The text of the line that begins with those words, "fault  connection    TEXT"; else all. */
static const char *text_of(char *out, const char *level)
{
	char *at = strstr(out, level);

	if (!at)
		return out;
	at += strlen(level);
	at += strspn(at, " ");
	at += strcspn(at, " \n");
	at += strspn(at, " ");
	at[strcspn(at, "\n")] = '\0';
	return at;
}

static void unreachable(const struct doctor *doctor, const char *name, const char *place,
			const char *why)
{
	find(doctor, SEVERITY_ERROR, "listener",
	     strstr(why, "refused") || strstr(why, "No such file")
		     ? "systemctl start valijad"
		     : "systemctl status valijad; look into its log",
	     "%s at %s: %s", name, place, why);
}

#define RENEW "certbot renew; valijad takes the new one by itself"

static void expires(const struct doctor *doctor, const char *what, char *out)
{
	const char *at = strstr(out, "it expires in ");

	if (at)
		find(doctor, SEVERITY_WARNING, "certificate", RENEW,
		     "%s: the certificate expires in %ld days", what,
		     strtol(at + strlen("it expires in "), NULL, 10));
}

static const char *tls_of(const struct doctor *doctor, const struct config_listener *listener)
{
	if (listener->service == SERVICE_POP3S)
		return "implicit";
	return doctor->config->certificate_count ? "starttls" : "none";
}

/* A visit that trusts the certificate of that file, too; what others think of it is a finding.
 * Returns the code of the visit. */
static int visit_with(const struct doctor *doctor, const struct config_listener *listener,
		      const char *as, const char *place, const char *what, const char *file,
		      char out[OUT_MAX])
{
	const char *tls = tls_of(doctor, listener);
	int code = visit(as, place, tls, NULL, out);
	char why[512];

	if (code == EX_OK || !file || !strstr(out, "certificate of"))
		return code;
	snprintf(why, sizeof(why), "%s", text_of(out, "fault "));
	why[strcspn(why, ";")] = '\0'; /* behind it is advice for a person who collects */
	code = visit(as, place, tls, file, out);
	if (code == EX_OK)
		find(doctor, SEVERITY_WARNING, "certificate",
		     "get one from a public authority: certbot certonly --standalone",
		     "%s: mail programs of others do not accept it: %s", what, why);
	return code;
}

/* A name of the certificate that a client may ask for; false: it has none. */
static bool name_in(const char *file, char *buf, size_t size, struct err *err)
{
	char all[1024], *rest = all;
	const char *name;

	if (tls_certificate_names(file, all, sizeof(all), err) < 0)
		return false;
	name = strsep(&rest, " ");
	while (name && *name == '*' && rest) /* one that is a host's own is as good */
		name = strsep(&rest, " ");
	snprintf(buf, size, "%s%s", *name == '*' ? "mail" : "", *name == '*' ? name + 1 : name);
	err_set(err, EX_DATAERR, "%s: it has no host name", file);
	return *buf;
}

/* Certificates behind the first are for clients that ask for their names. */
static void visit_named(const struct doctor *doctor, const struct config_listener *listener,
			const char *place)
{
	const struct config *config = doctor->config;

	for (uint32_t i = 1; i < config->certificate_count && i <= NAMED_MAX; i++) {
		const char *file = config->certificates[i].certificate;
		char name[CONFIG_NAME_MAX], what[CONFIG_PATH_MAX + 64], out[OUT_MAX];
		struct err err;

		if (!name_in(file, name, sizeof(name), &err)) {
			find(doctor, SEVERITY_NOTE, "certificate", NULL,
			     "it was not looked at what clients get of it: %s", err.text);
			continue;
		}
		snprintf(what, sizeof(what), "%s at %s as %s", names[listener->service], place,
			 name);
		if (visit_with(doctor, listener, name, place, what, file, out) == EX_OK)
			expires(doctor, what, out);
		else
			find(doctor, SEVERITY_ERROR, "certificate",
			     strstr(out, "expired") ? RENEW : "see `valija show certificates`",
			     "%s: %s", what, text_of(out, "fault "));
	}
}

static void visit_pop3(const struct doctor *doctor, const struct config_listener *listener,
		       const char *place)
{
	const struct config *config = doctor->config;
	bool secure = config->certificate_count > 0;
	char out[OUT_MAX], what[CONFIG_PATH_MAX + 32];
	int code;

	snprintf(what, sizeof(what), "%s at %s", names[listener->service], place);
	code = visit_with(doctor, listener, config->host_name, place, what,
			  secure ? config->certificates[0].certificate : NULL, out);
	if (code != EX_OK && strstr(out, "certificate of") && strstr(out, "expired")) {
		find(doctor, SEVERITY_ERROR, "certificate", RENEW, "%s: %s", what,
		     text_of(out, "fault "));
		return;
	}
	if (code != EX_OK) {
		unreachable(doctor, names[listener->service], place, text_of(out, "fault "));
		return;
	}
	find(doctor, SEVERITY_OK, "listener", NULL, "%s: greeting%s and capabilities", what,
	     secure ? ", TLS" : "");
	expires(doctor, what, out);
	visit_named(doctor, listener, place);
}

/* ---- others ---- */

static int connect_path(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	snprintf(address.sun_path, sizeof(address.sun_path), "%.*s",
		 (int)sizeof(address.sun_path) - 1, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int connect_port(const struct config_listener *listener)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	struct timeval most = {.tv_sec = SECONDS};
	char port[8];
	int fd, error;

	snprintf(port, sizeof(port), "%u", listener->port);
	if (getaddrinfo(host_of(listener), port, &hints, &found) != 0) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
	if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) < 0) {
		error = errno;
		close(fd);
		errno = error;
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

/* The first octets that a service of ours sends, and what it is asked for them. */
static const struct {
	const char *ask, *answer;
} dialogues[SERVICE_COUNT] = {
	[SERVICE_LMTP] = {NULL, "220"},
	[SERVICE_SASL] = {NULL, "VERSION"},
	[SERVICE_STATUS] = {"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
			    "HTTP/1.1 200"},
};

static void visit_other(const struct doctor *doctor, const struct config_listener *listener,
			const char *place)
{
	const char *ask = dialogues[listener->service].ask,
		   *answer = dialogues[listener->service].answer, *name = names[listener->service];
	struct timeval most = {.tv_sec = SECONDS};
	int fd = listener->port ? connect_port(listener) : connect_path(listener->address);
	char octets[64] = "";

	if (fd < 0) {
		unreachable(doctor, name, place, strerror(errno));
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	if ((ask && write(fd, ask, strlen(ask)) < 0) ||
	    (answer && recv(fd, octets, strlen(answer), MSG_WAITALL) < 0))
		octets[0] = '\0';
	close(fd);
	if (answer && strncmp(octets, answer, strlen(answer)) != 0)
		unreachable(doctor, name, place, "it takes the connection, and does not answer");
	else
		find(doctor, SEVERITY_OK, "listener", NULL, "%s at %s", name, place);
}

enum { SILENT_SECONDS = 60 }; /* the server may be, at its control socket */

/* The list of bans is asked for: it comes from the monitor, and says if its file is damaged. */
static void visit_control(const struct doctor *doctor, const char *path)
{
	struct err err = {0};
	struct control_link link;
	int rc = control_link_open(&link, NULL, path, SILENT_SECONDS, &err);

	if (rc == 0)
		rc = control_link_ask(&link, "ban", "list", &err);
	while (rc == 0 && (rc = control_link_next(&link, &err)) > 0)
		rc = 0;
	control_link_close(&link);
	if (rc == 0)
		find(doctor, SEVERITY_OK, "listener", NULL, "control at %s", path);
	else if (strstr(err.text, "control.group"))
		find(doctor, SEVERITY_NOTE, "listener", "sudo valija doctor",
		     "control at %s does not obey this user", path);
	else if (strstr(err.text, "/bans-"))
		find(doctor, SEVERITY_ERROR, "bans",
		     "mend or remove that file, then reload valijad", "%s", err.text);
	else
		unreachable(doctor, names[SERVICE_CONTROL], path,
			    strstr(err.text, "refused") ? "Connection refused" : err.text);
}

void check_listeners(const struct doctor *doctor)
{
	const struct config *config = doctor->config;

	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		char place[CONFIG_PATH_MAX + 16];

		place_of(listener, place, sizeof(place));
		if (listener->service == SERVICE_CONTROL)
			visit_control(doctor, listener->address);
		else if (listener->service <= SERVICE_POP3S)
			visit_pop3(doctor, listener, place);
		else
			visit_other(doctor, listener, place);
	}
}
