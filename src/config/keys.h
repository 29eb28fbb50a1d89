/*
 * The settings of valija.conf as one table: section, name, kind, place in struct config, range,
 * default and a line of help. Parsing, printing and the commented file of `valija init` all walk
 * it, so that a new setting is one new row (and its entry in valija.conf(5)). Used within config
 * only.
 */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include "config/config.h"
#include "config/listener.h"

#include <stddef.h>

enum key_kind {
	KEY_TEXT,         /* char[] */
	KEY_HOST,         /* char[], a domain name */
	KEY_PATH,         /* char[], made absolute */
	KEY_MAIL,         /* a list; config->roots, made absolute */
	KEY_WORDS,        /* char[], a list in the file, separated by spaces here */
	KEY_ALIASES,      /* the same, each "ALIAS=DOMAIN" */
	KEY_MECHANISMS,   /* the same, of known SASL mechanisms */
	KEY_USERS,        /* the same, of system users */
	KEY_BOOL,         /* bool */
	KEY_CHOICE,       /* uint32_t, index into choices */
	KEY_FLAG_CHOICE,  /* bool, index into two choices */
	KEY_NUMBER,       /* uint32_t */
	KEY_SIZE,         /* uint64_t; K M G */
	KEY_SECONDS,      /* uint32_t; s m h d */
	KEY_MILLISECONDS, /* uint32_t; ms s m h d, seconds when there is no unit */
	KEY_EXPIRE,       /* int32_t: "never" -1, "unannounced" -2, or days */
	KEY_LISTEN,       /* a list; config->listeners */
};

/* Those that do not exist are passed over, unless the file names them. */
#define CONFIG_SASL_PEERS "postfix Debian-exim exim"

struct config_key {
	const char *section; /* "": outside all sections */
	const char *name;
	enum key_kind kind;
	size_t offset, size; /* in struct config */
	uint64_t min, max;   /* of numbers, in the member's unit */
	const char *standard;
	const char *const *choices; /* NULL-terminated */
	enum config_service service;
	const char *reason; /* the reason for min, for the message */
	const char *help;
};

size_t config_key_count(void);
const struct config_key *config_key(size_t index);
/* -1: there is none. */
int config_key_find(const char *section, const char *name);

/* Sets one value, or adds one to a list. err gets the words without file and line. directory makes
 * paths absolute (NULL: they stay as they are). */
int config_key_set(const struct config_key *key, const char *value, const char *directory,
		   uint32_t line, struct config *config, struct err *err);
/* A number of the key's kind and range; yes or no. err as above. */
int config_number(const struct config_key *key, const char *value, uint64_t *ret, struct err *err);
int config_bool(const struct config_key *key, const char *value, uint64_t *ret, struct err *err);
/* A path of mail with or without placeholders, made absolute: the folder before the part with the
 * first one, and the rest. name: of the setting. */
int config_root_parse(const char *name, const char *value, const char *directory,
		      struct config_root *ret, struct err *err);
/* Empties a list before its first value. */
void config_key_clear(const struct config_key *key, struct config *config);
/* The value as the file writes it. Paths below directory (may be "") are written relative to it. */
void config_key_print(const struct config_key *key, const struct config *config,
		      const char *directory, FILE *out);

/* The same as a text, the caller's to free. NULL: no memory. */
char *config_key_text(const struct config_key *key, const struct config *config,
		      const char *directory);

#endif
