/* See rules.h. Pure. */
#include "config/rules.h"

#include "base/text.h"
#include "config/keys.h"
#include "config/listener.h"

#include <arpa/inet.h>
#include <string.h>
#include <sysexits.h>

#define AT(member) offsetof(struct config_rules, member)

static const char *const versions[CONFIG_TLS_COUNT + 1] = {[CONFIG_TLS_1_2] = "1.2",
							   [CONFIG_TLS_1_3] = "1.3",
							   [CONFIG_TLS_1_0] = "1.0",
							   [CONFIG_TLS_1_1] = "1.1"};

static const struct rule_key keys[] = {
	{"proxy_from", RULE_NETWORKS, AT(proxy_from), NULL},
	{"trust_tls", RULE_BOOL, AT(trust_tls), NULL},
	{"plain_networks", RULE_NETWORKS, AT(plain_networks), NULL},
	{"tls_min", RULE_CHOICE, AT(tls_min), versions},
	{"tls_min_networks", RULE_NETWORKS, AT(tls_min_networks), NULL},
};

size_t config_rule_count(void)
{
	return sizeof(keys) / sizeof(keys[0]);
}

const struct rule_key *config_rule(size_t index)
{
	return &keys[index];
}

static void *member(const struct rule_key *key, struct config_rules *rules)
{
	return (char *)rules + key->offset;
}

static const void *const_member(const struct rule_key *key, const struct config_rules *rules)
{
	return (const char *)rules + key->offset;
}

static const struct rule_key *find(const char *name)
{
	for (size_t i = 0; i < config_rule_count(); i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static int add_network(const char *name, struct config_networks *list, const char *value,
		       struct err *err)
{
	struct config_network network;

	if (config_network_parse(span_of(value), &network) < 0)
		return err_set(err, EX_CONFIG,
			       "%s: \"%s\" is not a network: write \"192.0.2.0/24\", "
			       "\"2001:db8::/32\" or an address",
			       name, value);
	if (list->count == CONFIG_NETWORKS_MAX)
		return err_set(err, EX_CONFIG, "%s: at most %d networks", name,
			       CONFIG_NETWORKS_MAX);
	list->list[list->count++] = network;
	return 0;
}

static int set_choice(const struct rule_key *key, const char *value, uint32_t *ret, struct err *err)
{
	char words[96] = "";

	for (uint32_t i = 0; key->choices[i]; i++) {
		size_t used = strlen(words);

		if (strcmp(key->choices[i], value) == 0) {
			*ret = i;
			return 0;
		}
		snprintf(words + used, sizeof(words) - used, "%s\"%s\"", i ? ", " : "",
			 key->choices[i]);
	}
	return err_set(err, EX_CONFIG, "%s = \"%s\": write one of %s", key->name, value, words);
}

int config_rule_set(struct config_rules *rules, const char *name, const char *value,
		    struct err *err)
{
	const struct rule_key *key = find(name);
	const struct config_key plain = {.name = name, .kind = KEY_BOOL};
	uint64_t number;

	if (!key)
		return err_set(err, EX_CONFIG, "there is no setting \"%s\" in this section", name);
	switch (key->kind) {
	case RULE_NETWORKS:
		return add_network(name, member(key, rules), value, err);
	case RULE_BOOL:
		if (config_bool(&plain, value, &number, err) < 0)
			return -1;
		*(bool *)member(key, rules) = number != 0;
		return 0;
	case RULE_CHOICE:
		return set_choice(key, value, member(key, rules), err);
	}
	return -1;
}

int config_rules_check(const struct config_rules *rules, struct err *err)
{
	if (rules->trust_tls && !rules->proxy_from.count)
		return err_set(err, EX_CONFIG,
			       "trust_tls is about what a proxy says: name its network, "
			       "proxy_from = {\"192.0.2.1\"}");
	if (config_tls_is_old(rules->tls_min) && !rules->tls_min_networks.count)
		return err_set(err, EX_CONFIG,
			       "tls_min = \"%s\": below 1.2 only for networks that are named: "
			       "tls_min_networks = {\"192.0.2.0/24\"}",
			       versions[rules->tls_min]);
	if (rules->tls_min_networks.count && !config_tls_is_old(rules->tls_min))
		return err_set(err, EX_CONFIG,
			       "tls_min_networks is about a tls_min below 1.2: write tls_min = "
			       "\"1.0\" or \"1.1\"");
	return 0;
}

int config_rules_find(const struct config *config, const char *title, struct err *err)
{
	struct config_listener wanted;

	if (config_listener_parse(title, SERVICE_POP3, NULL, &wanted, err) < 0)
		return -1;
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];

		if (listener->service < SERVICE_LMTP && listener->port == wanted.port &&
		    strcmp(listener->address, wanted.address) == 0)
			return (int)i;
	}
	return err_set(err, EX_CONFIG,
		       "listener \"%s\": neither pop3 nor pop3s listens there: write that address "
		       "as its listen has it",
		       title);
}

bool config_tls_is_old(uint32_t tls_min)
{
	return tls_min == CONFIG_TLS_1_0 || tls_min == CONFIG_TLS_1_1;
}

uint32_t config_rules_tls(const struct config_rules *rules, const uint8_t address[16])
{
	if (config_tls_is_old(rules->tls_min) &&
	    !config_networks_have(&rules->tls_min_networks, address))
		return CONFIG_TLS_1_2;
	return rules->tls_min;
}

static bool is_set(const struct rule_key *key, const struct config_rules *rules)
{
	static const struct config_rules none;
	size_t size = key->kind == RULE_NETWORKS ? sizeof(none.proxy_from)
		      : key->kind == RULE_BOOL   ? sizeof(bool)
						 : sizeof(uint32_t);

	return memcmp(const_member(key, rules), const_member(key, &none), size) != 0;
}

static const char *network_text(const struct config_network *network,
				char buf[CONFIG_NETWORK_TEXT_MAX])
{
	struct config_network mapped;
	char text[INET6_ADDRSTRLEN];

	config_network_parse(SPAN_LITERAL("0.0.0.0/0"), &mapped);
	if (network->bits >= mapped.bits && config_network_has(&mapped, network->address)) {
		inet_ntop(AF_INET, network->address + 12, text, sizeof(text));
		snprintf(buf, CONFIG_NETWORK_TEXT_MAX, "%s/%u", text, network->bits - mapped.bits);
	} else {
		inet_ntop(AF_INET6, network->address, text, sizeof(text));
		snprintf(buf, CONFIG_NETWORK_TEXT_MAX, "%s/%u", text, network->bits);
	}
	return buf;
}

void config_networks_text(const struct config_networks *networks, char *buf, size_t size)
{
	char text[CONFIG_NETWORK_TEXT_MAX];
	size_t used = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < networks->count && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? ", " : "",
					 network_text(&networks->list[i], text));
}

static void print_value(const struct rule_key *key, const struct config_rules *rules, FILE *out)
{
	const struct config_networks *networks = const_member(key, rules);

	fprintf(out, "\t%s = ", key->name);
	switch (key->kind) {
	case RULE_NETWORKS:
		fputc('{', out);
		for (uint32_t i = 0; i < networks->count; i++) {
			char text[CONFIG_NETWORK_TEXT_MAX];

			fprintf(out, "%s\"%s\"", i ? ", " : "",
				network_text(&networks->list[i], text));
		}
		fputs("}\n", out);
		break;
	case RULE_BOOL:
		fputs(*(const bool *)const_member(key, rules) ? "yes\n" : "no\n", out);
		break;
	case RULE_CHOICE:
		fprintf(out, "\"%s\"\n", key->choices[*(const uint32_t *)const_member(key, rules)]);
		break;
	}
}

void config_rules_print(const struct config *config, FILE *out)
{
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_rules *rules = &config->rules[i];
		char title[CONFIG_PATH_MAX + 16];
		bool any = false;

		config_listener_print(&config->listeners[i], title, sizeof(title));
		for (size_t k = 0; k < config_rule_count(); k++) {
			if (!is_set(&keys[k], rules))
				continue;
			if (!any)
				fprintf(out, "listener \"%s\" {\n", title);
			any = true;
			print_value(&keys[k], rules, out);
		}
		fputs(any ? "}\n" : "", out);
	}
}

bool config_networks_have(const struct config_networks *networks, const uint8_t address[16])
{
	for (uint32_t i = 0; i < networks->count; i++)
		if (config_network_has(&networks->list[i], address))
			return true;
	return false;
}
