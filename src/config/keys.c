/* The table of settings; see keys.h. */
#include "config/keys.h"

#include <string.h>

static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const stores[] = {"auto", "maildir", "mbox", "rados", NULL};
static const char *const line_ends[] = {"lf", "crlf", NULL};
static const char *const over_quota[] = {"temporary", "permanent", NULL};

static const char *const sessions[] = {"exclusive", "takeover", NULL};
static const char *const utf8_headers[] = {"as_stored", "refuse", "surrogate", NULL};
static const char *const app_passwords[] = {"yes", "only", NULL};

static const char *const client_names[] = {"cn", "email", NULL};

#define AT(member) \
	.offset = offsetof(struct config, member), .size = sizeof(((struct config *)0)->member)
#define DAY (24 * 3600u)

static const struct config_key keys[] = {
	{"", "hostname", KEY_HOST, AT(host_name), .standard = "",
	 .help = "The name in greetings, in Received: lines and in the certificate.\n"
		 "Default: the name of the machine."},
	{"", "mail", KEY_MAIL, .standard = "mail",
	 .help = "Where the maildrops are: a user's mail is the Maildir NAME below it, or, with\n"
		 "\"mail/{domain}/{local}\", where that says. Relative paths are relative to this "
		 "file.\n"
		 "Several folders, {\"/srv/mail\", \"/srv/old\"}: homes may be in each; the first "
		 "is for\n"
		 "users without one."},
	{"", "maildir", KEY_TEXT, AT(maildir), .standard = "",
	 .help = "Where the Maildir is below a home, such as \"Maildir\". \"\": the home is the "
		 "Maildir."},
	{"", "store", KEY_CHOICE, AT(store), .standard = "auto", .choices = stores,
	 .help = "What the maildrops are: Maildirs, mboxes as in /var/mail, or objects in Ceph "
		 "RADOS. \"auto\":\nwhat `valija init` or `valija mark` wrote into each mail "
		 "folder, "
		 "else Maildirs; \"maildir\",\n\"mbox\", \"rados\": valijad does not start with a "
		 "folder of another kind."},
	{"", "users", KEY_PATH, AT(users), .standard = "users",
	 .help = "Who may log in: a passwd-file, see `valija user` and valija-users(5)."},
	{"", "domain_aliases", KEY_ALIASES, AT(domain_aliases), .standard = "",
	 .help = "Domains that are other names of a domain: {\"example.net=example.org\"}. Users "
		 "and\n"
		 "recipients of the one are those of the other."},
	{"", "line_ends", KEY_FLAG_CHOICE, AT(store_crlf), .standard = "lf", .choices = line_ends,
	 .help = "How delivered messages are stored: \"lf\", as other Maildir programs expect,\n"
		 "or \"crlf\", which is served a little faster."},
	{"", "sessions", KEY_FLAG_CHOICE, AT(takeover), .standard = "exclusive",
	 .choices = sessions,
	 .help = "What a login does whose maildrop another session has: \"exclusive\", it is "
		 "refused;\n"
		 "\"takeover\", it ends a session that is idle (timeouts.takeover). What that one "
		 "had\n"
		 "marked is not deleted."},
	{"", "log_level", KEY_CHOICE, AT(log_level), .standard = "info", .choices = log_levels,
	 .help = "\"error\", \"warning\", \"info\" or \"debug\"."},
	{"", "log_to", KEY_TEXT, AT(log_to), .standard = "stderr",
	 .help = "\"stderr\", \"syslog\" or the path of a file, which SIGUSR1 opens again."},
	{"", "log_events", KEY_TEXT, AT(log_events), .standard = "",
	 .help = "The path of a file, or \"unix:/SOCKET\": events in JSON beside the log."},

	{"pop3", "listen", KEY_LISTEN, .service = SERVICE_POP3, .standard = "",
	 .help = "POP3 with STLS. \"ADDRESS:PORT\", any number of them."},
	{"pop3", "expire", KEY_EXPIRE, AT(expire_days), .max = 36500, .standard = "never",
	 .help = "What CAPA says about mail left on the server: \"never\", days, \"unannounced\"."},
	{"pop3", "login_delay", KEY_SECONDS, AT(login_delay_seconds), .max = CONFIG_LOGIN_DELAY_MAX,
	 .standard = "0",
	 .help = "A user who logged in may do so again only after this time, as CAPA says. 0: at "
		 "once."},
	{"pop3", "login_delay_max", KEY_SECONDS, AT(login_delay_max), .max = CONFIG_LOGIN_DELAY_MAX,
	 .standard = "0",
	 .help = "The most that a user's own field login_delay may say; what CAPA says before "
		 "login.\n"
		 "0: login_delay holds for every user."},
	{"pop3", "utf8_headers", KEY_CHOICE, AT(utf8_headers), .standard = "as_stored",
	 .choices = utf8_headers,
	 .help = "What a client that has not given UTF8 gets of a message whose header is in "
		 "UTF-8:\n"
		 "\"as_stored\", the message as it is; \"refuse\", -ERR [UTF8] for RETR and TOP; "
		 "or\n"
		 "\"surrogate\", a header in ASCII of the same size."},
	{"pop3s", "listen", KEY_LISTEN, .service = SERVICE_POP3S, .standard = "",
	 .help = "POP3 under TLS from the first octet."},

	{"lmtp", "listen", KEY_LISTEN, .service = SERVICE_LMTP, .standard = "",
	 .help = "Mail from the MTA. \"ADDRESS:PORT\" or the path of a Unix socket. Not port 25."},
	{"lmtp", "max_size", KEY_SIZE, AT(lmtp_max_size), .min = 1024, .max = 1ull << 40,
	 .standard = "50M", .help = "Octets of a message."},
	{"lmtp", "max_recipients", KEY_NUMBER, AT(lmtp_max_recipients), .min = 1, .max = 10000,
	 .standard = "1000", .help = "Recipients of one message."},
	{"lmtp", "memory", KEY_SIZE, AT(lmtp_memory), .max = 1ull << 50, .standard = "0",
	 .help = "Octets of messages on their way that are held in memory. 0: 256M."},
	{"lmtp", "spool", KEY_PATH, AT(lmtp_spool), .standard = "",
	 .help = "A folder for messages on their way beyond 1M. \"\": the state folder."},
	{"lmtp", "spool_size", KEY_SIZE, AT(lmtp_spool_size), .max = 1ull << 50, .standard = "0",
	 .help = "Octets of messages in that folder. 0: 1G, or four of max_size."},
	{"lmtp", "recipient_delimiter", KEY_TEXT, AT(recipient_delimiter), .standard = "+",
	 .help = "anna+lists@example.org is delivered to anna. \"\": off."},
	{"lmtp", "domains", KEY_WORDS, AT(domains), .standard = "",
	 .help = "Domains that are ours. None named: any domain is, and is cut off when the full\n"
		 "address is no user."},
	{"lmtp", "aliases", KEY_PATH, AT(aliases), .standard = "",
	 .help = "A file of lines \"alias: user\". \"\": none."},
	{"lmtp", "catch_all", KEY_TEXT, AT(catch_all), .standard = "",
	 .help = "The user who gets mail for recipients nobody knows. \"\": it is refused."},

	{"sasl", "listen", KEY_LISTEN, .service = SERVICE_SASL, .standard = "",
	 .help = "Where an MTA asks who may send mail: the path of a Unix socket, or\n"
		 "\"127.0.0.1:PORT\". It speaks the protocol of Dovecot's auth socket."},
	{"sasl", "peers", KEY_USERS, AT(sasl_peers), .standard = CONFIG_SASL_PEERS,
	 .help = "System users of the MTA: at a Unix socket, these are believed when they name\n"
		 "the address of their client and its TLS."},

	{"socketmap", "listen", KEY_LISTEN, .service = SERVICE_SOCKETMAP, .standard = "",
	 .help = "Where Postfix asks which recipients there are (its maps \"users\", \"senders\"\n"
		 "and \"domains\"): the path of a Unix socket, or \"127.0.0.1:PORT\"."},

	{"policy", "listen", KEY_LISTEN, .service = SERVICE_POLICY, .standard = "",
	 .help = "Where Postfix asks, before it takes a message, whether the mailbox is full (its\n"
		 "policy service): the path of a Unix socket, or \"127.0.0.1:PORT\"."},
	{"control", "socket", KEY_LISTEN, .service = SERVICE_CONTROL, .standard = "",
	 .help = "Where `valija who` and `valija kick` reach the server: the path of a Unix "
		 "socket."},
	{"control", "group", KEY_TEXT, AT(control_group), .standard = "",
	 .help = "A system group whose members may give such commands, besides root. \"\": none."},
	{"control", "metrics", KEY_LISTEN, .service = SERVICE_STATUS, .standard = "",
	 .help = "HTTP: /metrics for Prometheus, and a page that shows how the server is.\n"
		 "\"127.0.0.1:PORT\". Who reaches it sees figures, no names; keep it from others."},

	{"quota", "messages", KEY_SIZE, AT(quota_messages), .max = 1ull << 40, .standard = "0",
	 .help = "Messages a user may have, where the users file says nothing else. 0: no limit."},
	{"quota", "octets", KEY_SIZE, AT(quota_octets), .max = 1ull << 60, .standard = "0",
	 .help = "Octets a user may have. 0: no limit."},
	{"quota", "notices", KEY_BOOL, AT(quota_notices), .standard = "no",
	 .help = "A message to the user when the mailbox is 80 and 95 % full."},
	{"quota", "over", KEY_FLAG_CHOICE, AT(quota_permanent), .standard = "temporary",
	 .choices = over_quota,
	 .help = "The reply to the MTA when a user has no room left: \"temporary\" (452 4.2.2, it "
		 "tries again) or \"permanent\"\n"
		 "(552 5.2.2, the sender gets the mail back)."},

	{"retention", "keep_deleted", KEY_SECONDS, AT(keep_deleted_seconds), .max = 3650 * DAY,
	 .standard = "0",
	 .help = "Messages that a POP3 session deletes are kept for so long, beside the maildrop,\n"
		 "for `valija undelete`. 0: they are gone at once."},
	{"retention", "keep_octets", KEY_SIZE, AT(keep_octets), .max = 1ull << 50, .standard = "1G",
	 .help = "Octets of them in one maildrop; the oldest go first. 0: no limit."},
	{"retention", "delete_after", KEY_SECONDS, AT(delete_after_seconds), .max = 36500 * DAY,
	 .standard = "0",
	 .help = "Messages that came so long ago, as \"30d\", are deleted, collected or not; at "
		 "least "
		 "1d.\n"
		 "0: none. CAPA announces it. `valija retention --dry-run` lists them."},

	{"rados", "conf", KEY_PATH, AT(rados_conf), .standard = "/etc/ceph/ceph.conf",
	 .help = "Of store = \"rados\": the configuration of the cluster."},
	{"rados", "pool", KEY_TEXT, AT(rados_pool), .standard = "",
	 .help = "The pool of indexes, replicated. `valija rados init` marks it."},
	{"rados", "bodies", KEY_TEXT, AT(rados_bodies), .standard = "",
	 .help = "The pool of messages, replicated or erasure-coded. \"\": that of the indexes."},
	{"rados", "user", KEY_TEXT, AT(rados_user), .standard = "valija",
	 .help = "The name of the key: \"valija\" is client.valija."},
	{"rados", "single_copy", KEY_BOOL, AT(rados_single_copy), .standard = "no",
	 .help = "Pools without replicas are used: a disk that fails takes mail with it."},

	{"login", "plain_without_tls", KEY_BOOL, AT(plain_without_tls), .standard = "no",
	 .help = "Passwords in clear text from any network, without TLS. Leave it off."},
	{"login", "plain_on_loopback", KEY_BOOL, AT(plain_on_loopback), .standard = "yes",
	 .help = "The same from this machine."},
	{"login", "realm", KEY_HOST, AT(realm), .standard = "",
	 .help = "The domain of a login without one, where no user has the bare name. \"\": none."},
	{"login", "apop", KEY_BOOL, AT(apop), .standard = "no",
	 .help = "APOP, for users whose scheme is PLAIN. MD5: only where a client knows no "
		 "better."},
	{"login", "app_passwords", KEY_FLAG_CHOICE, AT(app_only), .standard = "yes",
	 .choices = app_passwords,
	 .help = "\"only\": no other password is right, and SCRAM, CRAM-MD5 and APOP are closed; "
		 "tokens are not.\n"
		 "\"yes\": app passwords beside the users' own."},
	{"login", "mechanisms", KEY_MECHANISMS, AT(mechanisms),
	 .standard = "SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1 OAUTHBEARER "
		     "XOAUTH2 PLAIN LOGIN",
	 .help = "SASL mechanisms that are allowed. Known besides these: \"CRAM-MD5\". With\n"
		 "databases that may have no keys for SCRAM, it is offered only if named here."},
	{"login", "client_ca", KEY_PATH, AT(client_ca), .standard = "",
	 .help = "A PEM file of authorities: with the mechanism EXTERNAL named above, clients log "
		 "in with a\n"
		 "certificate that one of them issued, and no password. \"\": nobody."},
	{"login", "client_name", KEY_FLAG_CHOICE, AT(client_email), .standard = "cn",
	 .choices = client_names,
	 .help = "Which name in it is the user: \"cn\", the common name, or \"email\", its mail "
		 "address."},
	{"login", "cache_entries", KEY_NUMBER, AT(auth_cache_entries), .max = 10000000,
	 .standard = "50000",
	 .help = "Logins that are remembered (as keyed digests), so that a slow password hash is\n"
		 "computed once. 0: none."},
	{"login", "cache_time", KEY_SECONDS, AT(auth_cache_seconds), .max = 30 * DAY,
	 .standard = "1h", .help = "For how long. A changed entry is forgotten at once."},
	{"login", "last_logins", KEY_BOOL, AT(last_logins), .standard = "yes",
	 .help = "The day of each user's last login, and of each app password's last use, is\n"
		 "kept in the state folder: see `valija user list --unused`."},
	{"login", "failure_delay", KEY_MILLISECONDS, AT(failure_delay_ms), .max = 60000,
	 .standard = "1s", .help = "The wait after a first wrong password; doubles with each."},
	{"login", "failure_delay_max", KEY_MILLISECONDS, AT(failure_delay_max_ms), .max = 300000,
	 .standard = "15s", .help = "What it doubles up to."},
	{"login", "max_failures", KEY_NUMBER, AT(max_failures), .min = 1, .max = 1000,
	 .standard = "3", .help = "Wrong passwords before the connection is closed."},

	{"timeouts", "handshake", KEY_SECONDS, AT(handshake_seconds), .min = 1, .max = 3600,
	 .standard = "30s", .help = "A TLS handshake."},
	{"timeouts", "login", KEY_SECONDS, AT(login_seconds), .min = 1, .max = 3600,
	 .standard = "1m", .help = "From connection to login."},
	{"timeouts", "idle", KEY_SECONDS, AT(idle_seconds), .min = 600, .max = 7 * DAY,
	 .standard = "10m", .reason = "RFC 1939 section 3 asks for at least ten minutes",
	 .help = "A session without a command. At least 10m (RFC 1939)."},
	{"timeouts", "takeover", KEY_SECONDS, AT(takeover_seconds), .min = 1, .max = 7 * DAY,
	 .standard = "1m",
	 .help = "No command and no octet acknowledged for so long: sessions = takeover may end "
		 "it."},
	{"timeouts", "write", KEY_SECONDS, AT(write_seconds), .min = 1, .max = 3600,
	 .standard = "2m", .help = "A client that takes nothing of what is sent."},
	{"timeouts", "drain", KEY_SECONDS, AT(drain_seconds), .max = DAY, .standard = "30s",
	 .help = "How long sessions may go on after SIGTERM, and old ones after SIGHUP (1h)."},

	{"limits", "connections", KEY_NUMBER, AT(max_connections), .min = 1, .max = 10000000,
	 .standard = "100000", .help = "Connections in all."},
	{"limits", "connections_per_address", KEY_NUMBER, AT(max_connections_per_address),
	 .max = 10000000, .standard = "100",
	 .help = "From one address (IPv6: one /64), before and after login. 0: no limit."},
	{"limits", "sessions_per_user", KEY_NUMBER, AT(max_sessions_per_user), .max = 1000000,
	 .standard = "10", .help = "Logins of one user at a time. 0: no limit."},
	{"limits", "bad_commands", KEY_NUMBER, AT(max_bad_commands), .max = 1000, .standard = "10",
	 .help = "Refused lines in a row before the connection is closed. 0: never."},

	{"processes", "fronts", KEY_NUMBER, AT(fronts), .max = 256, .standard = "0",
	 .help = "Processes that face the network. 0: one a core."},
	{"processes", "keepers", KEY_NUMBER, AT(keepers), .max = 64, .standard = "0",
	 .help = "Processes that touch mail. 0: one a core, at most 4."},
	{"processes", "keeper_threads", KEY_NUMBER, AT(keeper_threads), .min = 1, .max = 256,
	 .standard = "16", .help = "Maildrops one keeper works on at the same time."},
	{"processes", "owner_keepers", KEY_NUMBER, AT(owner_keepers), .min = 1, .max = 4096,
	 .standard = "256",
	 .help = "Keepers at a time for mail that belongs to other users than the mail folder, "
		 "one\n"
		 "a user; others wait until one of them has nothing to do."},
	{"processes", "owner_idle", KEY_SECONDS, AT(owner_idle_seconds), .min = 1, .max = DAY,
	 .standard = "1m", .help = "Such a keeper ends when it had nothing to do for so long."},
	{"processes", "answer", KEY_SECONDS, AT(answer_seconds), .max = DAY, .standard = "30s",
	 .help = "A process that does not answer the monitor for so long is replaced. 0: never."},
	{"processes", "auth_workers", KEY_NUMBER, AT(auth_workers), .max = 256, .standard = "0",
	 .help = "Threads that compute password hashes. 0: one a core."},
	{"processes", "net_user", KEY_TEXT, AT(user_net), .standard = "valija-net",
	 .help = "System user of the fronts, when started as root."},
	{"processes", "auth_user", KEY_TEXT, AT(user_auth), .standard = "valija-auth",
	 .help = "System user of the process that checks passwords."},
	{"processes", "keys_user", KEY_TEXT, AT(user_keys), .standard = "valija-keys",
	 .help = "System user of the process that has the private keys."},
};

size_t config_key_count(void)
{
	return sizeof(keys) / sizeof(keys[0]);
}

const struct config_key *config_key(size_t index)
{
	return &keys[index];
}

int config_key_find(const char *section, const char *name)
{
	for (size_t i = 0; i < config_key_count(); i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return (int)i;
	return -1;
}
