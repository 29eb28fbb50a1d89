/*
 * Settings of one address that POP3 is served on: `listener "ADDRESS:PORT" { … }` sections, in
 * valija.conf and back. Which settings there are is one table (rules.c). For the parser, for the
 * printing of a configuration, and the functions at the end for fronts and auth.
 */
#ifndef CONFIG_RULES_H
#define CONFIG_RULES_H

#include "config/config.h"

#include <stddef.h>

enum rule_kind {
	RULE_NETWORKS, /* struct config_networks */
	RULE_BOOL,
	RULE_CHOICE, /* uint32_t, index into choices */
};

struct rule_key {
	const char *name;
	enum rule_kind kind;
	size_t offset;              /* in struct config_rules */
	const char *const *choices; /* NULL-terminated */
};

size_t config_rule_count(void);
const struct rule_key *config_rule(size_t index);

/* ---- for the parser ---- */

/* Sets one value, or adds one to a list. -1: err has the words, without file and line. */
int config_rule_set(struct config_rules *rules, const char *name, const char *value,
		    struct err *err);
/* Checks that a section, which has no more settings, makes sense. -1 as above. */
int config_rules_check(const struct config_rules *rules, struct err *err);
/* The place in config->listeners of the POP3 or POP3S address that the title of a section names. -1
 * as above. */
int config_rules_find(const struct config *config, const char *title, struct err *err);

/* Writes the sections of all listeners that have one. */
void config_rules_print(const struct config *config, FILE *out);
/* Writes "192.0.2.0/24, 2001:db8::/32" into buf; what has no room is left out. */
enum { CONFIG_NETWORK_TEXT_MAX = 56 };
void config_networks_text(const struct config_networks *networks, char *buf, size_t size);

/* ---- for processes ---- */

/* TLS below 1.2, for some. */
bool config_tls_is_old(uint32_t tls_min);
/* The lowest TLS that a client with that address may use: enum config_tls. */
uint32_t config_rules_tls(const struct config_rules *rules, const uint8_t address[16]);
bool config_networks_have(const struct config_networks *networks, const uint8_t address[16]);

#endif
