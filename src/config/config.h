/*
 * valija.conf: parsed once, checked once, immutable after. The monitor (and the command line
 * programs) parse it with libconfuse; children get the same bytes as a sealed memory file and map
 * them read-only, so `struct config` holds no pointer; paths in it are absolute. Every message
 * about a setting names file and line. Sizes take K M G, times take s m h d; both are plain numbers
 * here.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/err.h"
#include "config/network.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_LISTENERS_MAX 16
#define CONFIG_CERTIFICATES_MAX 64
#define CONFIG_NETWORKS_MAX 16                   /* in a list of a listener */
#define CONFIG_USER_LOOKUP "valija-lookup"       /* the system user of processes without rights */
#define CONFIG_USER_CONNECTOR "valija-connector" /* of those that dial other POP3 servers */
#define CONFIG_PATH_MAX 512
#define CONFIG_NAME_MAX 256
#define CONFIG_ROOTS_MAX 8
#define CONFIG_DATABASES_MAX 64
#define CONFIG_REMOTES_MAX 64
#define CONFIG_LOGIN_DELAY_MAX 86400u    /* seconds between two logins */
#define CONFIG_SETTINGS_MAX (64u * 1024) /* octets of the settings of all databases */

enum config_service {
	SERVICE_POP3,
	SERVICE_POP3S,
	SERVICE_LMTP,
	/* questions of an MTA; from here on: on this machine only */
	SERVICE_SASL,      /* may this user send mail? */
	SERVICE_SOCKETMAP, /* whose mail is this? */
	SERVICE_POLICY,    /* is there room for it? */
	SERVICE_CONTROL,   /* commands of people; a path alone */
	SERVICE_STATUS,    /* no question of an MTA, and anywhere: metrics, by HTTP */
	SERVICE_COUNT
};

#define CONFIG_DRAIN_STANDARD 30 /* seconds; after SIGHUP it stands for an hour */

struct config_listener {
	enum config_service service;
	char address[CONFIG_PATH_MAX]; /* "127.0.0.1", "::", "localhost" or a path for a Unix socket
					  (not POP3) */
	uint16_t port;                 /* 0 with a path */
	uint32_t line;                 /* in the configuration file */
	uint32_t only_six;             /* no IPv4 connections: all but a lone "::" */
};

struct config_certificate {
	char certificate[CONFIG_PATH_MAX]; /* PEM, chain; relative paths are relative to the
					      configuration file */
	char key[CONFIG_PATH_MAX];
	uint32_t line;
};

struct config_networks {
	uint32_t count;
	struct config_network list[CONFIG_NETWORKS_MAX];
};

enum config_tls {
	CONFIG_TLS_1_2,
	CONFIG_TLS_1_3,
	CONFIG_TLS_1_0,
	CONFIG_TLS_1_1,
	CONFIG_TLS_COUNT
};

/* The section of a listener: config/rules.h. All zero: it has none. */
struct config_rules {
	uint32_t tls_min; /* enum config_tls; below 1.2 for tls_min_networks, 1.2 for all others */
	struct config_networks tls_min_networks;
	struct config_networks plain_networks; /* credentials in clear text are taken from these */
	struct config_networks proxy_from; /* connections come from these, with a PROXY header */
	bool trust_tls;                    /* what that header says of TLS counts */
};

/* The kind of the maildrops of a root; config.store, where it asks for one, is one more. */
enum config_store { CONFIG_MAILDIR, CONFIG_MBOX, CONFIG_RADOS };
enum { CONFIG_STORE_AUTO };

/* A folder of maildrops, with its own mark, register, device and owners. */
struct config_root {
	char path[CONFIG_PATH_MAX];
	char template[CONFIG_NAME_MAX]; /* below it, of a user without a home:
					   "{domain}/{local}"; "": the name */
	uint32_t store; /* enum config_store: as it was found in the folder, not in the file */
};

enum config_driver {
	DRIVER_PASSWD_FILE,
	DRIVER_SYSTEM,
	DRIVER_SQL,
	DRIVER_LDAP,
	DRIVER_HTTP,
	DRIVER_OAUTH,
	DRIVER_COUNT
};
enum { CONFIG_FOR_LOGIN = 1, CONFIG_FOR_RECIPIENT = 2 };

/* A database of users: config/database.h */
struct config_database {
	char name[64];
	uint32_t driver;                 /* enum config_driver */
	uint32_t purposes;               /* CONFIG_FOR_LOGIN | CONFIG_FOR_RECIPIENT */
	uint32_t line;                   /* in the configuration file */
	uint32_t settings, settings_end; /* where its settings are in those of config */
};

enum config_remote_tls { CONFIG_REMOTE_TLS, CONFIG_REMOTE_STARTTLS, CONFIG_REMOTE_CLEAR };
enum config_remote_credentials {
	CONFIG_REMOTE_SAME = 1,
	CONFIG_REMOTE_STORED,
	CONFIG_REMOTE_OAUTH
};

/* Another POP3 server: config/remote.h */
#define CONFIG_LEARN_SUFFIX ".learn" /* of the key that seals: the other one has none */
struct config_remote {
	char name[64];
	char host[CONFIG_NAME_MAX];
	uint32_t port;
	uint32_t tls;         /* enum config_remote_tls */
	uint32_t credentials; /* enum config_remote_credentials */
	uint32_t timeout_seconds;
	char login[128];                     /* the name there, with placeholders */
	char verify[CONFIG_PATH_MAX];        /* PEM, or "sha256//…" */
	char password_file[CONFIG_PATH_MAX]; /* or "credential:NAME"; "" none */
	char learn[CONFIG_PATH_MAX];         /* the key that seals passwords; "" none are learned */
	char lmtp_host[CONFIG_NAME_MAX];     /* mail for its users goes there; "" nowhere */
	uint32_t lmtp_port;
	uint32_t lmtp_tls; /* enum config_remote_tls */
	char grants[64];   /* the database that has the users' grants; "" the only one */
	uint32_t database; /* oauth: its place */
	uint32_t given;    /* settings that the file has */
	uint32_t line;     /* in the configuration file */
};

struct config {
	uint32_t magic, size;            /* checked by config_map */
	char file[CONFIG_PATH_MAX];      /* absolute */
	char directory[CONFIG_PATH_MAX]; /* of the file */
	char host_name[CONFIG_NAME_MAX];
	uint32_t log_level;               /* enum log_level */
	char log_events[CONFIG_PATH_MAX]; /* a path, "unix:/SOCKET", "": nowhere */
	char log_to[CONFIG_PATH_MAX]; /* "stderr", "syslog", "syslog:/path" or a path with "/" in
					 it, relative to the directory */

	struct config_listener listeners[CONFIG_LISTENERS_MAX];
	struct config_rules rules[CONFIG_LISTENERS_MAX]; /* of each listener */
	uint32_t listener_count;
	struct config_certificate
		certificates[CONFIG_CERTIFICATES_MAX]; /* the first is the default */
	uint32_t certificate_count;

	struct config_database
		databases[CONFIG_DATABASES_MAX]; /* asked in this order, after users */
	uint32_t database_count;
	struct config_remote remotes[CONFIG_REMOTES_MAX]; /* a user's `remote` names one */
	uint32_t remote_count;
	uint32_t settings_size;
	char settings[CONFIG_SETTINGS_MAX]; /* of databases: name NUL value NUL … */

	struct config_root roots[CONFIG_ROOTS_MAX]; /* the first has the mail of users without a
						       home, unless their database names another */
	uint32_t root_count;                        /* at least 1 */
	char maildir[CONFIG_NAME_MAX]; /* the maildrop below a home; "": the home itself */
	uint32_t store; /* CONFIG_STORE_AUTO, or 1 + the enum config_store that all roots have to be
			   of */
	/* of the store "rados": its cluster, pools (bodies "": pool), and name there */
	char rados_conf[CONFIG_PATH_MAX], rados_pool[64], rados_bodies[64], rados_user[64];
	bool rados_single_copy;      /* pools without replicas are used */
	char users[CONFIG_PATH_MAX]; /* passwd-file */
	/* system users the processes drop to: valija-net, valija-auth, valija-keys */
	char user_net[64], user_auth[64], user_keys[64];
	bool store_crlf;
	uint32_t utf8_headers; /* enum maildrop_utf8: to clients without UTF8 */
	bool takeover;         /* a login ends an idle session of the maildrop */

	uint32_t fronts;             /* 0: one a core */
	uint32_t keepers;            /* 0: one a core, at most 4 */
	uint32_t keeper_threads;     /* per keeper */
	uint32_t auth_workers;       /* 0: one a core */
	uint32_t owner_keepers;      /* at a time, for mail of owners of their own */
	uint32_t owner_idle_seconds; /* after which one of them ends */
	uint32_t answer_seconds;     /* a process that does not answer is replaced; 0: never */

	char sasl_peers[CONFIG_NAME_MAX]; /* system users whose programs are believed, separated by
					     spaces */

	char control_group[64]; /* whose members may give commands, besides root; "" none */

	bool plain_without_tls; /* credentials in clear text on any network; always allowed on
				   loopback unless plain_on_loopback is off */
	bool plain_on_loopback;
	bool apop;
	bool app_only;                    /* login.app_passwords: no other password is right */
	char realm[CONFIG_NAME_MAX];      /* the domain of names without one, "" none */
	char mechanisms[CONFIG_NAME_MAX]; /* SASL, allowed */
	bool mechanisms_named;            /* the file has that setting */
	char client_ca[CONFIG_PATH_MAX];  /* PEM: who issues clients' certificates; "" nobody */
	bool client_email;                /* the user is its rfc822Name; else its common name */
	uint32_t auth_cache_entries, auth_cache_seconds;
	bool last_logins;          /* are written down */
	uint32_t failure_delay_ms; /* after the first failure; doubles up to max */
	uint32_t failure_delay_max_ms;
	uint32_t max_failures; /* per connection, then it is closed */

	uint32_t handshake_seconds, login_seconds, idle_seconds /* at least 600 */, write_seconds;
	uint32_t takeover_seconds;            /* idle for so long, a session may be taken over */
	uint32_t max_connections;             /* all fronts together */
	uint32_t max_connections_per_address; /* 0: no limit */
	uint32_t max_sessions_per_user;
	uint32_t max_bad_commands;

	int32_t expire_days;          /* CAPA EXPIRE: -1 NEVER, -2 not announced */
	uint32_t login_delay_seconds; /* between two logins of a user; 0: none */
	uint32_t login_delay_max;     /* the most that a user's own field may say; 0: no field is
					 used */
	uint32_t
		drain_seconds; /* limit for open sessions after SIGTERM, and for those of the old
				  generation after SIGHUP: there CONFIG_DRAIN_STANDARD is an hour */

	uint64_t lmtp_max_size;               /* octets of a message */
	uint32_t lmtp_max_recipients;         /* in one transaction */
	uint64_t lmtp_memory;                 /* octets of messages in memory; 0: automatic */
	char lmtp_spool[CONFIG_PATH_MAX];     /* folder for large messages; "": the state folder */
	uint64_t lmtp_spool_size;             /* octets of messages there; 0: automatic */
	char recipient_delimiter[4];          /* sub-addressing, "" none */
	char aliases[CONFIG_PATH_MAX];        /* "" none */
	char catch_all[CONFIG_NAME_MAX];      /* user, "" none */
	char domain_aliases[CONFIG_PATH_MAX]; /* "alias=domain", separated by spaces */
	char domains[CONFIG_PATH_MAX]; /* local domains separated by spaces; "": any domain is ours
					  and is cut off when the full address is no user */
	uint64_t quota_messages, quota_octets; /* default per user, 0 none */
	uint32_t keep_deleted_seconds;         /* deleted messages are kept for so long; 0: not */
	uint64_t keep_octets;                  /* of one maildrop at most; 0: no limit */
	uint32_t delete_after_seconds;         /* older messages are deleted; 0: none */
	bool quota_notices;                    /* to users whose mailbox is nearly full */
	bool quota_permanent; /* true: over quota is answered 552 5.2.2; false: 452 4.2.2 */
};

/* Reads and checks file. Fills err with "file:line: …" on the first error. Warnings go to the log.
 */
int config_load(const char *file, struct config *ret, struct err *err);
/* The same with the text of a file at hand; file (absolute) is what errors and relative paths refer
 * to. */
int config_parse(pop3_span text, const char *file, struct config *ret, struct err *err);
/* A folder of maildrops as the setting mail has it, with its placeholders. */
#define CONFIG_MAIL_MAX (CONFIG_PATH_MAX + CONFIG_NAME_MAX)
const char *config_root_text(const struct config_root *root, char buf[CONFIG_MAIL_MAX]);
/* Finds the folder of maildrops that an absolute path is below, or is: *ret_below is what is behind
 * it, without a slash in front. Returns its place in roots, or -1. */
int config_root_find(const struct config *config, pop3_span path, pop3_span *ret_below);
/* The days that CAPA announces: expire_days, or, where that is "never", the age at which messages
 * are deleted. */
int32_t config_expire_days(const struct config *config);
/* Whether a login may come too soon after the last one; what CAPA says of it before login, -1:
 * nothing (RFC 2449 section 6.5). */
bool config_delays_logins(const struct config *config);
int32_t config_announced_delay(const struct config *config);
/* Whether clients log in with certificates: EXTERNAL is named, and who issues them. */
bool config_takes_certificates(const struct config *config);
/* Whether a SASL mechanism shows a password, or a token that is as good as one, to whoever reads
 * along. */
bool config_mechanism_shows_secret(pop3_span mechanism);
void config_defaults(struct config *ret);
/* A whole commented configuration file: host name, mail, users, listeners and certificates as in
 * config, every other setting as a comment with its default. Paths below config->directory are
 * written relative to it. */
int config_write_file(const struct config *config, FILE *out, struct err *err);
/* "name = value" lines of what differs from the defaults, on stdout (`valijad -n`). */
void config_print_changed(const struct config *config);
/* The scope of a setting that changed, once a reload has taken it over. */
enum config_scope { CONFIG_AT_ONCE, CONFIG_NEW_SESSIONS };
/* Values as the file writes them; "": none. They live as long as the call. */
struct config_change {
	const char *name; /* "timeouts.idle", "tls.1", "database NAME.SETTING" */
	const char *old, *new;
	enum config_scope scope;
};
typedef void config_differs(void *context, const struct config_change *change);
/* Calls differs for each setting in which new differs from old. */
void config_difference(const struct config *old, const struct config *new, config_differs *differs,
		       void *context);
/* A sealed memory file with the configuration / a read-only mapping of one (for the life of the
 * process). Return fd or -1 / NULL. */
int config_seal(const struct config *config, struct err *err);
const struct config *config_map(int fd, struct err *err);

#endif
