/* See exim_parts.h. docs/delivery.md has the same lines, with an explanation. */
#include "cli/exim_parts.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Whether a path can stand in Exim's configuration as it is. */
static bool is_plain(const char *text)
{
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				 "/._-")] == '\0';
}

/* The path of the first Unix socket of a service; NULL: none. */
static const char *socket_of(const struct config *config, enum config_service service)
{
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].service == service && !config->listeners[i].port)
			return config->listeners[i].address;
	return NULL;
}

static int check_sockets(const struct config *config, struct err *err)
{
	static const struct {
		enum config_service service;
		const char *name; /* NULL: Exim can do without */
	} rows[] = {{SERVICE_LMTP, "lmtp"},
		    {SERVICE_SOCKETMAP, "socketmap"},
		    {SERVICE_SASL, NULL},
		    {SERVICE_POLICY, NULL}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *path = socket_of(config, rows[i].service), *name = rows[i].name;

		if (!path && name)
			return err_set(
				err, EX_CONFIG,
				"%s: Exim needs a Unix socket of %s: write for example\n%s { "
				"listen = \"/var/spool/valija-mta/%s\" }\nwith: install -d "
				"-m 0710 -g Debian-exim /var/spool/valija-mta",
				config->file, name, name, name);
		if (path && !is_plain(path))
			return err_set(err, EX_CONFIG,
				       "%s: Exim cannot have a path with such letters", path);
	}
	return 0;
}

/* The domains as Exim lists them. */
static int list_domains(const struct config *config, char *buf, size_t size, struct err *err)
{
	size_t used = 0;

	for (const char *p = config->domains; *(p += strspn(p, " ")) && used < size;) {
		int length = (int)strcspn(p, " ");

		used += (size_t)snprintf(buf + used, size - used, "%s%.*s", used ? " : " : "",
					 length, p);
		p += length;
	}
	if (!used)
		return err_set(err, EX_CONFIG,
			       "%s: lmtp.domains must name the domains that are ours: Exim asks "
			       "about no others",
			       config->file);
	if (used >= size || strpbrk(buf, "$\\{};!+@*^"))
		return err_set(err, EX_CONFIG, "%s: Exim cannot have these lmtp.domains",
			       config->file);
	return 0;
}

static struct exim_part *add(struct exim_parts *parts, const char *path, const char *behind)
{
	struct exim_part *part = &parts->parts[parts->count++];

	part->path = path;
	part->behind = behind;
	return part;
}

static void add_router(struct exim_parts *parts, const char *maps)
{
	struct exim_part *part =
		add(parts, EXIM_FOLDER "/conf.d/router/010_valija", "begin routers");

	snprintf(part->text, sizeof(part->text),
		 EXIM_BEGIN
		 "valija_ask:\n"
		 "  driver = redirect\n"
		 "  domains = +valija_domains\n"
		 "  allow_fail\n"
		 "  allow_defer\n"
		 "  address_data = ${readsocket{%s}\\\n"
		 "    {${strlen:users $local_part@$domain}:users $local_part@$domain,}{60s}}\n"
		 "  data = ${if match{$address_data}{\\N^\\d+:OK \\N}{}\\\n"
		 "    {${if match{$address_data}{\\N^\\d+:NOTFOUND \\N}"
		 "{:fail:550 5.1.1 no such user here}\\\n"
		 "    {:defer:451 4.3.0 the user database is not available, try again "
		 "later}}}}\n\n"
		 "valija:\n"
		 "  driver = accept\n"
		 "  domains = +valija_domains\n"
		 "  transport = valija\n" EXIM_END,
		 maps);
}

static void add_transport(struct exim_parts *parts, const char *lmtp)
{
	struct exim_part *part =
		add(parts, EXIM_FOLDER "/conf.d/transport/010_valija", "begin transports");

	snprintf(part->text, sizeof(part->text),
		 EXIM_BEGIN "valija:\n"
			    "  driver = lmtp\n"
			    "  socket = %s\n"
			    "  batch_max = 1000\n" EXIM_END,
		 lmtp);
}

static void add_authenticators(struct exim_parts *parts, const char *path)
{
	static const char *const mechanisms[][2] = {{"plain", "PLAIN"}, {"login", "LOGIN"}};
	struct exim_part *part =
		add(parts, EXIM_FOLDER "/conf.d/auth/010_valija", "begin authenticators");
	size_t used = (size_t)snprintf(part->text, sizeof(part->text), EXIM_BEGIN);

	for (size_t i = 0; i < 2; i++)
		used += (size_t)snprintf(
			part->text + used, sizeof(part->text) - used,
			"valija_%s:\n"
			"  driver = dovecot\n"
			"  public_name = %s\n"
			"  server_socket = %s\n"
			"  server_set_id = $auth1\n"
			"  server_advertise_condition = ${if def:tls_in_cipher}\n%s",
			mechanisms[i][0], mechanisms[i][1], path, i ? EXIM_END : "\n");
}

/* Debian's ACL includes a file of the site's behind its check of recipients. */
static void add_acl(struct exim_parts *parts, const char *path)
{
	static const char message[] =
		"    message = ${sg{$acl_m_valija}{\\N^action=([^\\n]*)\\s*$\\N}{\\$1}}\n";
	struct exim_part *part = add(parts, EXIM_ACL, NULL);

	snprintf(part->text, sizeof(part->text),
		 EXIM_BEGIN "  defer\n"
			    "    domains = +valija_domains\n"
			    "    set acl_m_valija = ${readsocket{%s}\\\n"
			    "      {request=smtpd_access_policy\\nrecipient=$local_part@$domain\\n"
			    "size=$message_size\\n\\n}\\\n"
			    "      {20s}{}{}}\n"
			    "    condition = ${if match{$acl_m_valija}{^action=4}}\n"
			    "%s"
			    "  deny\n"
			    "    domains = +valija_domains\n"
			    "    condition = ${if match{$acl_m_valija}{^action=5}}\n"
			    "%s" EXIM_END,
		 path, message, message);
}

static void add_main(struct exim_parts *parts, const char *domains, bool has_acl)
{
	struct exim_part *part = add(parts, EXIM_FOLDER "/conf.d/main/000_valija", "");

	snprintf(part->text, sizeof(part->text),
		 EXIM_BEGIN "domainlist valija_domains = %s\n%s" EXIM_END, domains,
		 has_acl ? ".ifndef CHECK_RCPT_LOCAL_ACL_FILE\n"
			   "CHECK_RCPT_LOCAL_ACL_FILE = " EXIM_ACL "\n"
			   ".endif\n"
			 : "");
}

int exim_parts_make(const struct config *config, struct exim_parts *ret, struct err *err)
{
	const char *policy = socket_of(config, SERVICE_POLICY);
	const char *sasl = socket_of(config, SERVICE_SASL);
	char domains[3 * CONFIG_PATH_MAX];

	if (check_sockets(config, err) < 0 ||
	    list_domains(config, domains, sizeof(domains), err) < 0)
		return -1;
	add_main(ret, domains, policy != NULL);
	add_router(ret, socket_of(config, SERVICE_SOCKETMAP));
	add_transport(ret, socket_of(config, SERVICE_LMTP));
	if (sasl)
		add_authenticators(ret, sasl);
	if (policy)
		add_acl(ret, policy);
	return 0;
}
