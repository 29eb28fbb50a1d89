/* Where is listened: POP3, LMTP, and the socket that an MTA asks for logins. */
#include "cli/import/settings/translation.h"

#include <stdlib.h>
#include <string.h>

enum { LISTENERS_MAX = CONFIG_LISTENERS_MAX };

struct listener {
	enum config_service service;
	char text[128]; /* "[::]:110" */
	bool proxy;
};

struct listeners {
	struct listener list[LISTENERS_MAX];
	size_t count;
};

/* ---- POP3 ---- */

/* An address of Dovecot, as valija.conf has it. False: it is a name. */
static bool address_text(const char *address, size_t n, char *ret, size_t size)
{
	if (n == 1 && *address == '*')
		snprintf(ret, size, "0.0.0.0");
	else if (memchr(address, ':', n) && *address != '[')
		snprintf(ret, size, "[%.*s]", (int)n, address);
	else
		snprintf(ret, size, "%.*s", (int)n, address);
	return strspn(ret, "0123456789abcdefABCDEF:.[]%") == strlen(ret) ||
	       strcmp(ret, "localhost") == 0;
}

static void add(struct translation *t, struct listeners *all, setting about,
		enum config_service service, const char *address, unsigned long port, bool proxy)
{
	struct listener *one = &all->list[all->count];

	if (all->count == LISTENERS_MAX) {
		if (about)
			note(t, about, SETTINGS_TO_DO, "at most %d listeners are possible",
			     LISTENERS_MAX);
		return;
	}
	*one = (struct listener){.service = service, .proxy = proxy};
	snprintf(one->text, sizeof(one->text), "%.100s:%lu", address, port);
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->list[i].text, one->text) == 0)
			return;
	all->count++;
}

/* "*, ::" is one listener here. */
static void add_addresses(struct translation *t, struct listeners *all, setting about,
			  const char *addresses, enum config_service service, unsigned long port,
			  bool proxy)
{
	bool both = strchr(addresses, '*') && strstr(addresses, "::");
	char text[112];

	while (*(addresses += strspn(addresses, " ,\t"))) {
		size_t n = strcspn(addresses, " ,\t");
		bool every = both && n == 1 && *addresses == '*';

		if (!address_text(addresses, n < 100 ? n : 100, text, sizeof(text)) && about)
			note(t, about, SETTINGS_TO_DO,
			     "a listener needs an address here, not a name: write it into listen");
		else if (!every)
			add(t, all, about, service, text, port, proxy);
		addresses += n;
	}
}

static bool is_listener(const char *section, const char *service)
{
	size_t n = strlen(service);

	return strncmp(section, service, n) == 0 &&
	       strncmp(section + n, "/inet_listener ", strlen("/inet_listener ")) == 0;
}

struct standard {
	const char *name, *section;
	unsigned long port;
	bool tls;
};

static const struct standard standards[] = {
	{"pop3", "service pop3-login/inet_listener pop3", 110, false},
	{"pop3s", "service pop3-login/inet_listener pop3s", 995, true}};

/* block 0: it is not in the file, so it has its defaults. */
static void take_listener(struct translation *t, struct listeners *all, setting about,
			  const struct standard *standard, bool tls_off)
{
	unsigned block = about ? about->block : 0;
	setting port = take_in(t, block, "port"), tls = take_in(t, block, "ssl"),
		address = take_in(t, block, "address|listen"), proxy = take_in(t, block, "haproxy"),
		common = take(t, "", "listen");
	unsigned long number =
		port ? strtoul(port->value, NULL, 10) : (standard ? standard->port : 0);
	bool implicit = tls ? is_yes(tls) : standard && standard->tls;

	if (number == 0 || number > 65535 || (implicit && tls_off))
		return;
	address = address && *address->value ? address : common;
	add_addresses(t, all, address ? address : about,
		      address ? address->value : "*, ::", implicit ? SERVICE_POP3S : SERVICE_POP3,
		      number, is_yes(proxy));
}

static void take_listeners(struct translation *t, struct listeners *all)
{
	bool tls_off = is_no(take(t, "", "ssl")), seen[2] = {false, false};

	for (size_t i = 0; i < t->conf->count; i++) {
		setting one = &t->conf->settings[i];
		const struct standard *standard = NULL;

		if (*one->key || !is_listener(one->section, "service pop3-login"))
			continue;
		for (size_t k = 0; k < 2; k++)
			if (strcmp(one->section, standards[k].section) == 0) {
				standard = &standards[k];
				seen[k] = true;
			}
		take_listener(t, all, one, standard, tls_off);
	}
	for (size_t k = 0; k < 2; k++)
		if (!seen[k])
			take_listener(t, all, NULL, &standards[k], tls_off);
}

static void put_listen(struct translation *t, const struct listeners *all,
		       enum config_service service, enum part part)
{
	const char *between = "listen = {";

	for (size_t i = 0; i < all->count; i++) {
		if (all->list[i].service != service)
			continue;
		fputs(between, t->parts[part]);
		put_quoted(t->parts[part], all->list[i].text);
		between = ", ";
	}
	if (*between == ',')
		fputs("}\n", t->parts[part]);
}

/* ---- what differs at a listener ---- */

static void put_rules(struct translation *t, const struct listeners *all)
{
	setting trusted = take_pop3(t, "login_trusted_networks"),
		proxies = take(t, "", "haproxy_trusted_networks"),
		least = take(t, "", "ssl_min_protocol");
	bool newest = strcmp(value_of(least), "TLSv1.3") == 0;
	FILE *out = t->parts[PART_OWN];

	for (size_t i = 0; i < all->count; i++) {
		const struct listener *one = &all->list[i];
		bool plain = *value_of(trusted) && one->service == SERVICE_POP3;

		if (!newest && !plain && !one->proxy)
			continue;
		fputs("\nlistener ", out);
		put_quoted(out, one->text);
		fputs(newest ? " {\n\ttls_min = \"1.3\"\n" : " {\n", out);
		if (plain) {
			fputs("\tplain_networks = ", out);
			put_list(out, trusted->value);
			fputc('\n', out);
		}
		if (one->proxy) {
			fputs("\tproxy_from = ", out);
			put_list(out, *value_of(proxies) ? proxies->value : "127.0.0.1");
			fputc('\n', out);
		}
		fputs("}\n", out);
	}
	if (least && !newest && strcmp(least->value, "TLSv1.2") != 0)
		note(t, least, SETTINGS_TO_DO,
		     "TLS 1.2 is the least here; for old programs write tls_min and "
		     "tls_min_networks into a section listener");
}

/* ---- LMTP and logins of an MTA ---- */

static void put_socket(struct translation *t, setting about, const char *path, enum part part,
		       const char **between)
{
	char text[CONFIG_PATH_MAX];
	setting base = take(t, "", "base_dir");

	snprintf(text, sizeof(text), "%.200s%s%.250s",
		 *path == '/' ? "" : (base ? base->value : "/run/dovecot"), *path == '/' ? "" : "/",
		 path);
	fputs(*between, t->parts[part]);
	put_quoted(t->parts[part], text);
	*between = ", ";
	note(t, about, SETTINGS_TO_DO,
	     "the same socket is listened at, so that the MTA's setting stays: its folder has to "
	     "be there, and its mode says who can ask; mode and owner of the socket do not");
}

static void put_lmtp(struct translation *t, const char **between)
{
	struct listeners all = {.count = 0};

	for (size_t i = 0; i < t->conf->count; i++) {
		setting one = &t->conf->settings[i];
		setting address, port;

		if (*one->key || !is_listener(one->section, "service lmtp"))
			continue;
		address = take_in(t, one->block, "address|listen");
		port = take_in(t, one->block, "port");
		address = address ? address : take(t, "", "listen");
		if (strtoul(value_of(port), NULL, 10))
			add_addresses(t, &all, one,
				      address ? address->value : "*, ::", SERVICE_LMTP,
				      strtoul(port->value, NULL, 10), false);
	}
	for (size_t i = 0; i < all.count; i++) {
		fputs(*between, t->parts[PART_LMTP]);
		put_quoted(t->parts[PART_LMTP], all.list[i].text);
		*between = ", ";
	}
}

/* Names of sockets of Dovecot's own programs. */
static bool is_inner(const char *name)
{
	return strcmp(name, "auth-userdb") == 0 || strcmp(name, "auth-master") == 0 ||
	       strcmp(name, "auth-client") == 0 || strncmp(name, "login/", 6) == 0 ||
	       strncmp(name, "token-login/", 12) == 0;
}

static void put_sockets(struct translation *t, const char *service, enum part part,
			const char **between)
{
	char prefix[64];
	size_t n = (size_t)snprintf(prefix, sizeof(prefix), "service %s/unix_listener ", service);

	for (size_t i = 0; i < t->conf->count; i++) {
		setting one = &t->conf->settings[i];
		const char *name;

		if (*one->key || strncmp(one->section, prefix, n) != 0)
			continue;
		name = one->section + n;
		take_in(t, one->block, "mode|user|group|path|type");
		if (!is_inner(name))
			put_socket(t, one, name, part, between);
	}
}

static void put_mta(struct translation *t)
{
	const char *lmtp = "listen = {", *sasl = "listen = {";
	setting protocols = take(t, "", "protocols"),
		delimiter = take(t, "", "recipient_delimiter");
	setting on = take(t, "protocols", "lmtp");
	bool wanted = is_yes(on) || strstr(value_of(protocols), "lmtp");

	if (wanted) {
		put_sockets(t, "lmtp", PART_LMTP, &lmtp);
		put_lmtp(t, &lmtp);
	}
	fputs(*lmtp == ',' ? "}\n" : "", t->parts[PART_LMTP]);
	if (wanted && *lmtp != ',')
		note(t, on ? on : protocols, SETTINGS_TO_DO,
		     "LMTP was at the socket lmtp of Dovecot's own folder: write lmtp.listen, and "
		     "the same into the MTA (`valija init --with postfix|exim`)");
	put_sockets(t, "auth", PART_SASL, &sasl);
	fputs(*sasl == ',' ? "}\n" : "", t->parts[PART_SASL]);
	if (delimiter)
		put(t, PART_LMTP, "recipient_delimiter", delimiter->value);
}

void translate_listen(struct translation *t)
{
	struct listeners all = {.count = 0};
	setting protocols = take(t, "", "protocols"), on = take(t, "protocols", "pop3");

	take_listeners(t, &all);
	put_listen(t, &all, SERVICE_POP3, PART_POP3);
	put_listen(t, &all, SERVICE_POP3S, PART_POP3S);
	put_rules(t, &all);
	put_mta(t);
	if ((protocols && !strstr(protocols->value, "pop3")) || (on && !is_yes(on)))
		note(t, on ? on : protocols, SETTINGS_TO_DO,
		     "Dovecot serves no POP3 by this: the listeners are Dovecot's defaults");
}
