/* Settings that no subject took: a note for each. */
#include "cli/import/settings/translation.h"

#include <fnmatch.h>
#include <string.h>

struct rest {
	const char *section, *key; /* patterns of fnmatch(3) */
	enum settings_kind kind;
	const char *text;
};

/* The first that fits counts. */
static const struct rest table[] = {
	{"plugin", "quota", SETTINGS_KEPT, "quotas are counted by Valija itself, in the maildrop"},
	{"quota *", "*", SETTINGS_KEPT, "quotas are counted by Valija itself, in the maildrop"},
	{"plugin", "quota_rule?*", SETTINGS_KEPT, "POP3 has the inbox alone: no rule for folders"},
	{"plugin", "quota_warning*", SETTINGS_TO_DO,
	 "no program is run; quota.notices = yes sends a user a message at 80 and 95 %"},
	{"plugin", "quota*", SETTINGS_KEPT, "quotas are counted by Valija itself"},
	{"", "quota_*", SETTINGS_KEPT, "quotas are counted by Valija itself"},
	{"plugin", "sieve*", SETTINGS_TO_DO,
	 "no Sieve is run at delivery: leave it to Dovecot's LMTP or LDA"},
	{"", "sieve*", SETTINGS_TO_DO,
	 "no Sieve is run at delivery: leave it to Dovecot's LMTP or LDA"},
	{"*", "sieve*", SETTINGS_TO_DO,
	 "no Sieve is run at delivery: leave it to Dovecot's LMTP or LDA"},
	{"plugin", "pop3_migration*", SETTINGS_KEPT,
	 "ids that it saved in dovecot-uidlist are brought"},
	{"plugin", "mail_crypt*", SETTINGS_TO_DO,
	 "encrypted messages are not read: decrypt them first, with doveadm sync"},
	{"", "crypt_*", SETTINGS_TO_DO,
	 "encrypted messages are not read: decrypt them first, with doveadm sync"},
	{"plugin", "zlib_save*", SETTINGS_TO_DO,
	 "compressed messages are not read: store them uncompressed first, with doveadm sync"},
	{"", "mail_compress*", SETTINGS_TO_DO,
	 "compressed messages are not read: store them uncompressed first, with doveadm sync"},
	{"plugin", "expire*", SETTINGS_TO_DO, "retention.delete_after deletes old messages"},
	{"plugin", "trash*", SETTINGS_KEPT, "POP3 shows the inbox alone"},
	{"plugin", "last_login*", SETTINGS_KEPT,
	 "the days of last logins are kept (login.last_logins)"},
	{"plugin", "*", SETTINGS_KEPT, "Dovecot's plugins are not here; this one is not of POP3"},

	{"*namespace*", "*", SETTINGS_KEPT, "POP3 shows the inbox alone"},
	{"*mailbox *", "*", SETTINGS_KEPT, "POP3 shows the inbox alone"},
	{"protocol imap*", "*", SETTINGS_KEPT, "it is not about POP3"},
	{"protocol *imap*", "*", SETTINGS_KEPT, "it is not about POP3"},
	{"protocol sieve*", "*", SETTINGS_KEPT, "it is not about POP3"},
	{"protocol doveadm*", "*", SETTINGS_KEPT, "it is not about POP3"},
	{"protocol submission*", "*", SETTINGS_KEPT, "it is not about POP3"},
	{"protocol l*", "*", SETTINGS_TO_DO,
	 "of deliveries by Dovecot: look whether those of Valija (lmtp) need it"},
	{"protocols", "*", SETTINGS_KEPT, "POP3 and LMTP are served here"},
	{"service pop3*", "*", SETTINGS_KEPT,
	 "processes are Valija's own: limits.connections and processes say how many"},
	{"service auth*", "*", SETTINGS_KEPT, "processes and sockets are Valija's own"},
	{"service lmtp/inet_listener *", "*", SETTINGS_KEPT,
	 "Dovecot's listeners of LMTP are taken where it serves LMTP (protocols), and all of it "
	 "goes "
	 "to inboxes"},
	{"service lmtp*", "*", SETTINGS_KEPT, "processes are Valija's own"},
	{"service stats*", "*", SETTINGS_KEPT, "control.metrics has Valija's"},
	{"service *", "*", SETTINGS_KEPT, "this service is not about POP3, or inner to Dovecot"},
	{"metric *", "*", SETTINGS_KEPT, "control.metrics has Valija's"},
	{"event_export*", "*", SETTINGS_TO_DO, "log_events writes events as JSON"},
	{"remote *", "*", SETTINGS_TO_DO,
	 "settings for some clients: a section listener knows networks (tls_min_networks, "
	 "plain_networks)"},
	{"local *", "*", SETTINGS_TO_DO,
	 "settings for one address of the server: a section listener, or a tls section whose "
	 "certificate has the name"},
	{"local_name *", "*", SETTINGS_TO_DO,
	 "settings for one name of the server: only certificates are chosen by it"},
	{"dict*", "*", SETTINGS_KEPT, "dictionaries are Dovecot's own"},

	{"*userdb*", "uid", SETTINGS_KEPT, "mail is worked on as the owner of the mail folder"},
	{"*userdb*", "gid", SETTINGS_KEPT, "mail is worked on as the owner of the mail folder"},
	{"*userdb*", "use_worker", SETTINGS_KEPT, "databases have processes of their own"},
	{"*userdb*", "allow_all_users", SETTINGS_KEPT, "users are those with a password"},
	{"passdb*", "auth_verbose", SETTINGS_KEPT, "the log has every refused login"},
	{"passdb*", "mechanisms", SETTINGS_TO_DO, "mechanisms are allowed for all users alike"},
	{"passdb*", "name", SETTINGS_KEPT, "it is for Dovecot's log"},
	{"userdb*", "name", SETTINGS_KEPT, "it is for Dovecot's log"},
	{"passdb*", "*", SETTINGS_TO_DO,
	 "databases are asked in their order until one knows the user; nothing else is chosen"},
	{"userdb*", "*", SETTINGS_TO_DO,
	 "databases are asked in their order until one knows the user; nothing else is chosen"},

	{"", "disable_plaintext_auth", SETTINGS_KEPT, "it is so here"},
	{"", "auth_mechanisms", SETTINGS_KEPT, "it is so here"},
	{"", "auth_username_format", SETTINGS_TO_DO,
	 "names are looked up as they are given, in small letters: where it cuts off the domain, "
	 "look at login.realm and at the names of users"},
	{"", "auth_realms", SETTINGS_KEPT, "domains are those of the users"},
	{"", "auth_master_user_separator", SETTINGS_TO_DO,
	 "master users, who read the mail of others, are not known here"},
	{"", "auth_policy*", SETTINGS_TO_DO,
	 "no policy server is asked: `valija ban`, login.failure_delay and fail2ban are here"},
	{"", "auth_cache*", SETTINGS_KEPT, "login.cache_time and a database's cache_time say it"},
	{"", "auth_verbose*", SETTINGS_KEPT, "the log has every refused login"},
	{"", "auth_debug*", SETTINGS_KEPT, "log_level and `valija trace` are here"},
	{"", "auth_ssl*", SETTINGS_TO_DO,
	 "certificates of clients: login.client_ca and EXTERNAL in login.mechanisms"},
	{"", "auth_krb5_keytab", SETTINGS_TO_DO, "Kerberos is not known here"},
	{"", "auth_gssapi*", SETTINGS_TO_DO, "Kerberos is not known here"},
	{"", "auth_*", SETTINGS_KEPT, "it is about Dovecot's own processes or names"},
	{"", "oauth2*", SETTINGS_TO_DO, "a section database with driver = oauth checks tokens"},

	{"*", "pop3_lock_session", SETTINGS_KEPT,
	 "a maildrop has one session at a time in any case"},
	{"*", "pop3_no_flag_updates", SETTINGS_KEPT,
	 "the flags of messages are what the store makes of them; POP3 does not show them"},
	{"*", "pop3_uidl_*", SETTINGS_KEPT, "`valija import dovecot` brings the unique ids by it"},
	{"*", "pop3_save_uidl", SETTINGS_KEPT, "unique ids are always saved"},
	{"*", "pop3_reuse_xuidl", SETTINGS_KEPT,
	 "`valija import dovecot` brings the unique ids by it"},
	{"*", "pop3_fast_size_lookups", SETTINGS_KEPT, "sizes are exact and kept"},
	{"*", "pop3_client_workarounds", SETTINGS_KEPT,
	 "messages are sent as they are stored, a NUL in them included"},
	{"*", "pop3_enable_last", SETTINGS_TO_DO, "LAST, a command before 1994, is not known here"},
	{"*", "pop3_delete*", SETTINGS_TO_DO,
	 "messages that POP3 deletes are deleted; retention.keep_deleted keeps them for a time. "
	 "Those that the flag hid are shown"},
	{"*", "pop3_logout_format", SETTINGS_KEPT, "the log has lines of its own"},

	{"*", "ssl", SETTINGS_KEPT, "it is so here"},
	{"*", "ssl_alt_*", SETTINGS_TO_DO, "one certificate for a name: choose ECDSA or RSA"},
	{"*", "ssl_server_alt_*", SETTINGS_TO_DO,
	 "one certificate for a name: choose ECDSA or RSA"},
	{"*", "ssl_client_*", SETTINGS_KEPT, "it is about connections to other servers"},
	{"*", "ssl_ca", SETTINGS_TO_DO,
	 "authorities of clients' certificates: login.client_ca; the chain of the server's own is "
	 "in "
	 "its certificate file"},
	{"*", "ssl_server_ca_file", SETTINGS_TO_DO,
	 "authorities of clients' certificates: login.client_ca"},
	{"*", "ssl_*verify_client_cert", SETTINGS_TO_DO, "login.client_ca asks for certificates"},
	{"*", "ssl_*request_client_cert", SETTINGS_TO_DO, "login.client_ca asks for certificates"},
	{"*", "ssl_key_password", SETTINGS_TO_DO,
	 "a key with a password is not read: write it without one"},
	{"*", "ssl_*", SETTINGS_KEPT, "ciphers and options are chosen by Valija"},

	{"", "mail_uid", SETTINGS_KEPT, "mail is worked on as the owner of the mail folder"},
	{"", "mail_gid", SETTINGS_KEPT, "mail is worked on as the owner of the mail folder"},
	{"", "mail_privileged_group", SETTINGS_KEPT,
	 "lock files in a folder of group mail are made by a process of its own"},
	{"", "mail_access_groups", SETTINGS_KEPT, "mail is worked on as its owner"},
	{"", "mail_chroot", SETTINGS_TO_DO, "paths are whole: write mail as it is from outside"},
	{"", "first_valid_*", SETTINGS_KEPT,
	 "mail of root is not served; min_uid is for users of PAM"},
	{"", "last_valid_*", SETTINGS_KEPT, "max_uid is for users of PAM"},
	{"", "valid_chroot_dirs", SETTINGS_KEPT, "Valija walls its processes in by itself"},
	{"*", "mail_plugins", SETTINGS_KEPT,
	 "Dovecot's plugins are not here; settings of those that matter are named on their own"},
	{"", "mail_plugin_dir", SETTINGS_KEPT, "Dovecot's plugins are not here"},
	{"", "mail_attachment*", SETTINGS_TO_DO,
	 "attachments in files of their own are not read: bring them back with doveadm sync"},
	{"", "mail_ext_attachment*", SETTINGS_TO_DO,
	 "attachments in files of their own are not read: bring them back with doveadm sync"},
	{"", "mail_*", SETTINGS_KEPT, "how mail is kept and shown is Valija's own affair"},
	{"", "maildir_*", SETTINGS_KEPT, "how a Maildir is read is Valija's own affair"},
	{"", "mbox_*", SETTINGS_KEPT,
	 "an mbox is locked by fcntl, flock and a lock file, which programs of Debian know"},
	{"", "mmap_disable", SETTINGS_KEPT, "how files are read is Valija's own affair"},
	{"", "dotlock_use_excl", SETTINGS_KEPT, "how files are locked is Valija's own affair"},
	{"", "lock_method", SETTINGS_KEPT, "how files are locked is Valija's own affair"},
	{"", "mailbox_*", SETTINGS_KEPT, "POP3 shows the inbox alone"},
	{"", "doveadm_*", SETTINGS_KEPT, "it is about Dovecot's own programs"},
	{"", "imap*", SETTINGS_KEPT, "it is not about POP3"},
	{"", "submission*", SETTINGS_KEPT, "it is not about POP3"},
	{"", "managesieve*", SETTINGS_KEPT, "it is not about POP3"},
	{"", "fts*", SETTINGS_KEPT, "it is not about POP3"},
	{"", "acl*", SETTINGS_KEPT, "it is not about POP3"},
	{"", "lda_*", SETTINGS_TO_DO, "of deliveries by Dovecot: look whether those here need it"},
	{"", "lmtp_proxy", SETTINGS_TO_DO, "deliveries are not passed on to other servers"},
	{"", "lmtp_*", SETTINGS_KEPT, "deliveries go to the user's inbox"},
	{"", "postmaster_address", SETTINGS_KEPT, "the MTA sends mail back, not Valija"},
	{"", "quota_full_tempfail", SETTINGS_KEPT, "quota.over says it"},
	{"", "director*", SETTINGS_TO_DO, "users are not spread over servers here"},
	{"", "login_greeting", SETTINGS_KEPT, "the greeting has the name of the server"},
	{"", "login_log*", SETTINGS_KEPT, "the log has lines of its own"},
	{"", "login_*", SETTINGS_KEPT, "processes are Valija's own"},
	{"", "haproxy_timeout", SETTINGS_KEPT, "a header of the PROXY protocol has 5 seconds"},
	{"", "*log_path", SETTINGS_TO_DO, "log_to says where the log goes; its lines are others"},
	{"", "syslog_facility", SETTINGS_KEPT, "log_to = syslog uses the facility mail"},
	{"", "log_*", SETTINGS_KEPT, "the log has lines of its own: log_to, log_level, log_events"},
	{"", "verbose_*", SETTINGS_KEPT, "`valija who` and `valija top` show sessions"},
	{"", "default_*", SETTINGS_KEPT, "it is about Dovecot's own processes"},
	{"", "dovecot_*_version", SETTINGS_KEPT, "it is about Dovecot's own files"},
	{"", "base_dir", SETTINGS_KEPT, "it is about Dovecot's own processes"},
	{"", "state_dir", SETTINGS_KEPT, "it is about Dovecot's own processes"},
	{"", "instance_name", SETTINGS_KEPT, "it is about Dovecot's own processes"},
	{"", "libexec_dir", SETTINGS_KEPT, "it is about Dovecot's own processes"},
	{"", "listen", SETTINGS_KEPT, "it is so here"},
	{"", "shutdown_clients", SETTINGS_KEPT, "timeouts.drain says it"},
	{"", "version_ignore", SETTINGS_KEPT, "it is about Dovecot's own processes"},
	{"", "stats_*", SETTINGS_KEPT, "control.metrics has Valija's"},
	{"", "rawlog_dir", SETTINGS_KEPT, "`valija trace` shows a user's dialogue"},
	{"", "import_environment", SETTINGS_KEPT, "it is about Dovecot's own processes"},
	{"", "config_cache_size", SETTINGS_KEPT, "it is about Dovecot's own processes"},
	{"", "haproxy_trusted_networks", SETTINGS_KEPT, "no listener of POP3 has haproxy"},
	{"", "recipient_delimiter", SETTINGS_KEPT, "it is so here"},
};

static void note_rest(struct translation *t, setting one)
{
	static const char *const hidden =
		"this setting is not known here: look in Dovecot's manual "
		"whether users notice it";

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (fnmatch(table[i].section, one->section, 0) == 0 &&
		    fnmatch(table[i].key, one->key, 0) == 0) {
			note(t, one, table[i].kind, "%s", table[i].text);
			return;
		}
	note(t, one, SETTINGS_TO_DO, "%s", hidden);
}

void translate_rest(struct translation *t)
{
	for (size_t i = 0; i < t->conf->count; i++)
		if (*t->conf->settings[i].key && !t->conf->settings[i].taken)
			note_rest(t, &t->conf->settings[i]);
}
