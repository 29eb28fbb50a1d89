/* See autoconfig.h. Host names are checked, so nothing in them has to be escaped. Runs with the
 * rights of the person who calls it. */
#include "cli/autoconfig.h"

#include "base/digest.h"
#include "base/text.h"
#include "cli/command.h"
#include "config/config.h"
#include "config/database.h"
#include "config/listener.h"
#include "users/edit.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

enum {
	POP3_PORT = 110,
	POP3S_PORT = 995,
	SUBMISSION_PORT = 587,
	SUBMISSIONS_PORT = 465,
	SERVERS_MAX = CONFIG_LISTENERS_MAX,
	TTL = 3600,
};

#define XML_FILE "mail/config-v1.1.xml"
#define JSON_FILE ".well-known/user-agent-configuration.json"

/* A place where mail is collected or sent, as mail programs are told of it. */
struct server {
	const char *host;
	uint16_t port;
	bool tls; /* from the first octet; else by STLS or STARTTLS */
};

enum name_form { NAME_AUTO, NAME_ADDRESS, NAME_LOCAL };

struct autoconfig {
	struct config config;
	const char *file; /* of the configuration; NULL: the usual one */
	const char *domain;
	const char *folder; /* where the files go; NULL: standard output */
	const char *only;   /* "xml", "json", "dns"; NULL: all */
	const char *host;   /* of the server; NULL: the configuration's name */
	enum name_form form;
	struct server servers[SERVERS_MAX]; /* for POP3, the best first */
	unsigned server_count;
	struct server submission; /* host NULL: none */
	char submission_host[CONFIG_NAME_MAX];
	char *json;
	size_t json_size;
};

static int usage(void)
{
	fputs("usage: valija autoconfig DOMAIN [-c CONF] [--to FOLDER | --only xml|json|dns]\n"
	      "                         [--host NAME] [--submission HOST[:PORT]]\n"
	      "                         [--username address|local]\n",
	      stderr);
	return EX_USAGE;
}

/* ---- facts ---- */

static int parse_submission(struct autoconfig *of, const char *text, struct err *err)
{
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : strlen(text);
	uint64_t port = SUBMISSIONS_PORT;

	if (span_copy((pop3_span){text, n}, of->submission_host, sizeof(of->submission_host)) < 0 ||
	    !config_host_valid(of->submission_host))
		return err_set(err, EX_USAGE, "--submission %s: write HOST or HOST:PORT", text);
	if (colon && (span_number(span_of(colon + 1), 65535, &port) < 0 || port == 0))
		return err_set(err, EX_USAGE, "--submission %s: %s is no port", text, colon + 1);
	of->submission =
		(struct server){of->submission_host, (uint16_t)port, port != SUBMISSION_PORT};
	return 0;
}

static int parse_form(struct autoconfig *of, const char *text, struct err *err)
{
	if (strcmp(text, "address") == 0)
		of->form = NAME_ADDRESS;
	else if (strcmp(text, "local") == 0)
		of->form = NAME_LOCAL;
	else
		return err_set(err, EX_USAGE, "--username %s: write address or local", text);
	return 0;
}

static int take_option(struct autoconfig *of, int c, struct err *err)
{
	switch (c) {
	case 'c':
		of->file = optarg;
		return 0;
	case 't':
		of->folder = optarg;
		return 0;
	case 'o':
		of->only = optarg;
		return strcmp(optarg, "xml") == 0 || strcmp(optarg, "json") == 0 ||
				       strcmp(optarg, "dns") == 0
			       ? 0
			       : err_set(err, EX_USAGE, "--only %s: write xml, json or dns",
					 optarg);
	case 'H':
		of->host = optarg;
		return config_host_valid(optarg)
			       ? 0
			       : err_set(err, EX_USAGE, "\"%s\" is not a host name", optarg);
	case 's':
		return parse_submission(of, optarg, err);
	case 'u':
		return parse_form(of, optarg, err);
	default:
		return -1;
	}
}

static int parse(int argc, char **argv, struct autoconfig *of, struct err *err)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"to", required_argument, NULL, 't'},
						{"only", required_argument, NULL, 'o'},
						{"host", required_argument, NULL, 'H'},
						{"submission", required_argument, NULL, 's'},
						{"username", required_argument, NULL, 'u'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
		if (take_option(of, c, err) < 0)
			return -1;
	if (optind != argc - 1 || (of->folder && of->only))
		return -1;
	of->domain = argv[optind];
	if (!config_host_valid(of->domain) || !strchr(of->domain, '.'))
		return err_set(err, EX_USAGE,
			       "\"%s\" is not a domain (beyond ASCII: its form that begins with "
			       "xn--)",
			       of->domain);
	return 0;
}

static bool is_known(const struct autoconfig *of, uint16_t port)
{
	for (unsigned i = 0; i < of->server_count; i++)
		if (of->servers[i].port == port)
			return true;
	return false;
}

/* Of two sockets with one port, for two addresses, a mail program needs one. What only this machine
 * reaches is of no use, nor is a port where passwords would go in clear text. */
static void add_servers(struct autoconfig *of, enum config_service service)
{
	for (uint32_t i = 0; i < of->config.listener_count; i++) {
		const struct config_listener *listener = &of->config.listeners[i];

		if (listener->service != service || config_listener_is_local(listener) ||
		    is_known(of, listener->port) || !of->config.certificate_count)
			continue;
		of->servers[of->server_count++] =
			(struct server){of->host, listener->port, service == SERVICE_POP3S};
	}
}

static int find_servers(struct autoconfig *of, struct err *err)
{
	if (!of->host)
		of->host = of->config.host_name;
	if (!config_host_valid(of->host) || !strchr(of->host, '.'))
		return err_set(err, EX_CONFIG,
			       "%s: hostname \"%s\" is no name that other machines find: set it, "
			       "or give --host",
			       of->config.file, of->host);
	add_servers(of, SERVICE_POP3S);
	add_servers(of, SERVICE_POP3);
	if (of->server_count == 0)
		return err_set(err, EX_CONFIG,
			       "%s: no POP3 listener with a certificate is there for other "
			       "machines: pop3s { listen = \"[::]:995\" }",
			       of->config.file);
	return 0;
}

struct looking {
	pop3_span domain;
	bool found;
};

static void look_at_name(void *argument, pop3_span name)
{
	struct looking *looking = argument;
	const char *at = memrchr(name.data, '@', name.size);
	size_t before = at ? (size_t)(at + 1 - name.data) : 0;

	if (at && span_equal_nocase((pop3_span){at + 1, name.size - before}, looking->domain))
		looking->found = true;
}

/* The name that people log in with is the whole address where anything of the configuration knows
 * the domain: the realm, a database, the users file. */
static int find_form(struct autoconfig *of, struct err *err)
{
	struct looking looking = {.domain = span_of(of->domain)};
	const char *domain;

	if (of->form != NAME_AUTO)
		return 0;
	looking.found = span_equal_nocase(span_of(of->config.realm), looking.domain);
	for (uint32_t i = 0; i < of->config.database_count; i++)
		for (size_t n = 0; (domain = config_database_item(
					    &of->config, &of->config.databases[i], "domains", n));
		     n++)
			if (span_equal_nocase(span_of(domain), looking.domain))
				looking.found = true;
	if (!looking.found && edit_list(of->config.users, look_at_name, &looking, err) < 0)
		return err_prefix(err, "whether people log in with their address is not known "
				       "(--username address or local says it)");
	of->form = looking.found ? NAME_ADDRESS : NAME_LOCAL;
	return 0;
}

/* ---- what is written ---- */

static void print_server(const struct autoconfig *of, const char *kind, const char *type,
			 const struct server *server, FILE *out)
{
	fprintf(out,
		"    <%s type=\"%s\">\n"
		"      <hostname>%s</hostname>\n"
		"      <port>%u</port>\n"
		"      <socketType>%s</socketType>\n"
		"      <authentication>password-cleartext</authentication>\n"
		"      <username>%s</username>\n"
		"    </%s>\n",
		kind, type, server->host, (unsigned)server->port, server->tls ? "SSL" : "STARTTLS",
		of->form == NAME_ADDRESS ? "%EMAILADDRESS%" : "%EMAILLOCALPART%", kind);
}

static void print_xml(const struct autoconfig *of, FILE *out)
{
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<clientConfig version=\"1.1\">\n"
		"  <emailProvider id=\"%s\">\n"
		"    <domain>%s</domain>\n"
		"    <displayName>%s</displayName>\n"
		"    <displayShortName>%s</displayShortName>\n",
		of->domain, of->domain, of->domain, of->domain);
	for (unsigned i = 0; i < of->server_count; i++)
		print_server(of, "incomingServer", "pop3", &of->servers[i], out);
	if (of->submission.host)
		print_server(of, "outgoingServer", "smtp", &of->submission, out);
	fputs("  </emailProvider>\n</clientConfig>\n", out);
}

/* That format knows the usual ports alone. */
static bool in_json(const struct server *server, uint16_t port)
{
	return server->host && server->tls && server->port == port;
}

static int make_json(struct autoconfig *of, struct err *err)
{
	FILE *out = open_memstream(&of->json, &of->json_size);
	bool pop3 = false, submit = in_json(&of->submission, SUBMISSIONS_PORT);

	if (!out)
		return err_set(err, EX_OSERR, "out of memory");
	for (unsigned i = 0; i < of->server_count; i++)
		pop3 |= in_json(&of->servers[i], POP3S_PORT);
	fputs("{\n  \"protocols\": {", out);
	if (pop3)
		fprintf(out, "\n    \"pop3\": {\"host\": \"%s\"}%s", of->host, submit ? "," : "");
	if (submit)
		fprintf(out, "\n    \"submit\": {\"host\": \"%s\"}", of->submission.host);
	fprintf(out,
		"%s},\n  \"authentication\": {\"password\": true},\n"
		"  \"info\": {\"provider\": {\"name\": \"%s\", \"shortName\": \"%s\"}}\n}\n",
		pop3 || submit ? "\n  " : "", of->domain, of->domain);
	if (fclose(out) != 0)
		return err_set(err, EX_OSERR, "out of memory");
	return 0;
}

static void print_record(const struct autoconfig *of, const char *service, unsigned priority,
			 const struct server *server, FILE *out)
{
	fprintf(out, "_%s._tcp.%s. %d IN SRV %u 1 %u %s.\n", service, of->domain, TTL, priority,
		(unsigned)server->port, server->host);
}

static void print_zone(const struct autoconfig *of, FILE *out)
{
	unsigned char digest[DIGEST_MAX];
	char text[DIGEST_MAX * 2];

	fprintf(out,
		"; Mail programs look for the files at https://autoconfig.%s/ and at\n"
		"; https://ua-auto-config.%s/: let both names lead to the web server that has "
		"them.\n",
		of->domain, of->domain);
	for (unsigned i = 0; i < of->server_count; i++)
		print_record(of, of->servers[i].tls ? "pop3s" : "pop3", i * 10, &of->servers[i],
			     out);
	if (of->submission.host)
		print_record(of, of->submission.tls ? "submissions" : "submission", 0,
			     &of->submission, out);
	digest_of(DIGEST_SHA_256, of->json, of->json_size, digest);
	base64_encode((pop3_span){(const char *)digest, digest_size(DIGEST_SHA_256)}, text,
		      sizeof(text));
	fprintf(out, "_ua-auto-config.%s. %d IN TXT \"v=UAAC1; a=sha256; d=%s\"\n", of->domain, TTL,
		text);
}

static void print_json(const struct autoconfig *of, FILE *out)
{
	fwrite(of->json, 1, of->json_size, out);
}

struct part {
	const char *name, *file, *also; /* the same once more, where others look for it */
	void (*print)(const struct autoconfig *of, FILE *out);
};

static const struct part parts[] = {
	{"xml", XML_FILE, ".well-known/autoconfig/" XML_FILE, print_xml},
	{"json", JSON_FILE, NULL, print_json},
	{"dns", "dns.zone", NULL, print_zone},
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

/* Makes the folders that path is in, and the file: for all to read, as a web server does. */
static int write_file(const struct autoconfig *of, const struct part *part, const char *name,
		      struct err *err)
{
	char path[CONFIG_PATH_MAX];
	FILE *out;
	bool bad;
	int n = snprintf(path, sizeof(path), "%s/%s", of->folder, name);

	if (n < 0 || n >= (int)sizeof(path))
		return err_set(err, EX_CANTCREAT, "%s: the path is too long", of->folder);
	for (char *slash = path + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return err_sys(err, EX_CANTCREAT, errno, "%s", path);
	}
	out = fopen(path, "we");
	if (!out)
		return err_sys(err, EX_CANTCREAT, errno, "%s", path);
	part->print(of, out);
	bad = ferror(out) != 0;
	if (fclose(out) != 0 || bad)
		return err_sys(err, EX_IOERR, errno, "%s", path);
	printf("%s\n", path);
	return 0;
}

static int write_all(const struct autoconfig *of, struct err *err)
{
	for (unsigned i = 0; i < PARTS; i++) {
		const struct part *part = &parts[i];

		if (of->folder) {
			if (write_file(of, part, part->file, err) < 0 ||
			    (part->also && write_file(of, part, part->also, err) < 0))
				return -1;
		} else if (!of->only || strcmp(of->only, part->name) == 0) {
			if (!of->only)
				printf("%s== %s ==\n", i ? "\n" : "", part->file);
			part->print(of, stdout);
		}
	}
	return fflush(stdout) == 0 ? 0 : err_sys(err, EX_IOERR, errno, "standard output");
}

int autoconfig_main(int argc, char **argv)
{
	struct autoconfig *of = calloc(1, sizeof(*of));
	struct err err = {0};
	int code = EX_OK;

	if (!of)
		return EX_OSERR;
	if (parse(argc, argv, of, &err) < 0)
		code = err.code ? command_failed("autoconfig", &err) : usage();
	else if (config_load(command_config(of->file), &of->config, &err) < 0 ||
		 find_servers(of, &err) < 0 || find_form(of, &err) < 0 || make_json(of, &err) < 0 ||
		 write_all(of, &err) < 0)
		code = command_failed("autoconfig", &err);
	free(of->json);
	free(of);
	return code;
}
