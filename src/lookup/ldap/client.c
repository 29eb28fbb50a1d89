/* See client.h. */
#include "lookup/ldap/client.h"

#include "base/text.h"
#include "lookup/ldap/dial.h"
#include "lookup/ldap/verdict.h"

#include <errno.h>
#include <ldap.h>
#include <openldap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum { MESSAGE_SHOWN = 160, FAREWELL_MS = 100 };

/* GnuTLS's way to say what PROTOCOL_MIN says to OpenSSL. */
static const char gnutls_priorities[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1";

struct client {
	LDAP *ldap;
	int fd;
	bool referrals;     /* searches follow them; a password is for this server alone */
	uint64_t deadline;  /* of what is under way */
	LDAPControl policy; /* asked for with each login */
	char policy_oid[sizeof(LDAP_CONTROL_PASSWORDPOLICYREQUEST)];
};

static int set(LDAP *ldap, int option, const void *value)
{
	return ldap_set_option(ldap, option, value) == LDAP_OPT_SUCCESS ? 0 : -1;
}

static int set_number(LDAP *ldap, int option, int value)
{
	return set(ldap, option, &value);
}

static struct timeval time_left(uint64_t deadline)
{
	uint64_t now = dial_now(), left = deadline > now ? deadline - now : 0;

	return (struct timeval){.tv_sec = (time_t)(left / 1000),
				.tv_usec = (suseconds_t)(left % 1000 * 1000)};
}

/* Sets when what follows has to be over. */
static int set_deadline(struct client *client, uint64_t deadline)
{
	struct timeval left = time_left(deadline);

	client->deadline = deadline;
	return set(client->ldap, LDAP_OPT_NETWORK_TIMEOUT, &left) < 0 ||
			       set(client->ldap, LDAP_OPT_TIMEOUT, &left) < 0
		       ? -1
		       : 0;
}

/* ---- octets ---- */

/* The lowest layer of a connection. libldap's own has no deadline: its timeouts are for the wait
 * before an answer, not for the rest of one, nor for a request that the server does not take; and
 * where GnuTLS does a handshake, EAGAIN makes it try again, for ever. */

static bool wait_until(const struct client *client, short events)
{
	struct pollfd poll_fd = {.fd = client->fd, .events = events};
	int n;

	do {
		struct timeval left = time_left(client->deadline);

		n = poll(&poll_fd, 1, (int)(left.tv_sec * 1000 + left.tv_usec / 1000));
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	return n > 0;
}

static int io_setup(Sockbuf_IO_Desc *desc, void *client)
{
	desc->sbiod_pvt = client;
	return 0;
}

static int io_remove(Sockbuf_IO_Desc *desc)
{
	(void)desc;
	return 0;
}

static int io_control(Sockbuf_IO_Desc *desc, int option, void *argument)
{
	(void)desc;
	(void)option;
	(void)argument;
	return 0;
}

static ber_slen_t io_read(Sockbuf_IO_Desc *desc, void *buf, ber_len_t size)
{
	const struct client *client = desc->sbiod_pvt;
	ssize_t n;

	while ((n = recv(client->fd, buf, size, MSG_DONTWAIT)) < 0)
		if ((errno != EAGAIN && errno != EINTR) || !wait_until(client, POLLIN))
			return -1;
	return n;
}

static ber_slen_t io_write(Sockbuf_IO_Desc *desc, void *buf, ber_len_t size)
{
	const struct client *client = desc->sbiod_pvt;
	ssize_t n;

	while ((n = send(client->fd, buf, size, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0)
		if ((errno != EAGAIN && errno != EINTR) || !wait_until(client, POLLOUT))
			return -1;
	return n;
}

static int io_close(Sockbuf_IO_Desc *desc)
{
	const struct client *client = desc->sbiod_pvt;

	return close(client->fd);
}

static Sockbuf_IO io = {.sbi_setup = io_setup,
			.sbi_remove = io_remove,
			.sbi_ctrl = io_control,
			.sbi_read = io_read,
			.sbi_write = io_write,
			.sbi_close = io_close};

/* ---- settings ---- */

/* GnuTLS takes a file without certificates, and then trusts nobody. */
static int check_ca_file(const char *path, struct err *err)
{
	FILE *file = fopen(path, "re");
	char line[256];
	bool found = false;

	if (!file)
		return err_sys(err, EX_NOINPUT, errno, "ca_file %s", path);
	while (!found && fgets(line, sizeof(line), file))
		found = strncmp(line, "-----BEGIN ", 11) == 0 && strstr(line, "CERTIFICATE-----");
	fclose(file);
	return found ? 0 : err_set(err, EX_CONFIG, "ca_file %s holds no certificate (PEM)", path);
}

static int prepare_tls(const struct client_options *options, struct err *err)
{
	int demand = options->insecure ? LDAP_OPT_X_TLS_NEVER : LDAP_OPT_X_TLS_DEMAND;
	char *package = NULL;
	int rc = 0;

	(void)ldap_get_option(NULL, LDAP_OPT_X_TLS_PACKAGE, &package);
	if (!options->insecure && check_ca_file(options->ca_file, err) < 0)
		rc = -1;
	else if (set_number(NULL, LDAP_OPT_X_TLS_REQUIRE_CERT, demand) < 0 ||
		 (!options->insecure &&
		  set(NULL, LDAP_OPT_X_TLS_CACERTFILE, options->ca_file) < 0) ||
		 (package && strcmp(package, "GnuTLS") == 0
			  ? set(NULL, LDAP_OPT_X_TLS_CIPHER_SUITE, gnutls_priorities)
			  : set_number(NULL, LDAP_OPT_X_TLS_PROTOCOL_MIN,
				       LDAP_OPT_X_TLS_PROTOCOL_TLS1_2)) < 0 ||
		 set_number(NULL, LDAP_OPT_X_TLS_NEWCTX, 0) < 0)
		rc = err_set(err, EX_CONFIG, "the TLS of libldap cannot be set up with ca_file %s",
			     options->ca_file);
	ldap_memfree(package);
	return rc;
}

int client_prepare(const struct client_options *options, struct err *err)
{
	LDAP *first = NULL;
	int rc;

	/* no ldap.conf, .ldaprc or LDAPTLS_… of the environment: what holds stands in valija.conf
	 */
	setenv("LDAPNOINIT", "1", 1);
	if (set_number(NULL, LDAP_OPT_PROTOCOL_VERSION, LDAP_VERSION3) < 0 ||
	    set(NULL, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) < 0 ||
	    set(NULL, LDAP_OPT_RESTART, LDAP_OPT_ON) < 0)
		return err_set(err, EX_SOFTWARE, "libldap cannot be set up");
	if (options->tls && prepare_tls(options, err) < 0)
		return -1;
	rc = ldap_initialize(&first, "ldap://localhost"); /* connects to nothing */
	if (rc != LDAP_SUCCESS)
		return err_set(err, EX_SOFTWARE, "libldap: %s", ldap_err2string(rc));
	ldap_unbind_ext(first, NULL, NULL);
	return 0;
}

/* ---- connections ---- */

/* Whether it names a server, and nothing else. */
static bool names_server(const LDAPURLDesc *url)
{
	if ((url->lud_dn && *url->lud_dn) || url->lud_attrs || url->lud_filter || url->lud_exts ||
	    !url->lud_host || !*url->lud_host || strpbrk(url->lud_host, " \t\r\n"))
		return false;
	if (strcmp(url->lud_scheme, "ldapi") == 0)
		return url->lud_host[0] == '/';
	return (strcmp(url->lud_scheme, "ldap") == 0 || strcmp(url->lud_scheme, "ldaps") == 0) &&
	       url->lud_port > 0 && url->lud_port <= UINT16_MAX;
}

static LDAPURLDesc *parse(const char *address, struct err *err)
{
	LDAPURLDesc *url = NULL;

	if (ldap_url_parse(address, &url) == LDAP_SUCCESS && names_server(url))
		return url;
	if (url)
		ldap_free_urldesc(url);
	err_set(err, EX_CONFIG,
		"\"%.100s\" is no address of an LDAP server: ldaps://HOST, ldap://HOST[:PORT] or "
		"ldapi://%%2Fpath%%2Fof%%2Fsocket",
		address);
	return NULL;
}

int client_check(const char *address, struct err *err)
{
	LDAPURLDesc *url = parse(address, err);

	if (!url)
		return -1;
	ldap_free_urldesc(url);
	return 0;
}

bool client_is_open(const char *address, const struct client_options *options)
{
	LDAPURLDesc *url = parse(address, NULL);
	bool open = url && strcmp(url->lud_scheme, "ldap") == 0 && !options->starttls &&
		    strcmp(url->lud_host, "localhost") != 0 &&
		    strncmp(url->lud_host, "127.", 4) != 0 && strcmp(url->lud_host, "::1") != 0;

	if (url)
		ldap_free_urldesc(url);
	return open;
}

/* Formats an error with what the server or the TLS library said. Returns result. */
static enum client_result failed(LDAP *ldap, enum client_result result, const char *what, int code,
				 struct err *err)
{
	char *message = NULL, shown[MESSAGE_SHOWN + 1] = "";

	(void)ldap_get_option(ldap, LDAP_OPT_DIAGNOSTIC_MESSAGE, &message);
	if (message)
		text_escape(shown, MESSAGE_SHOWN, span_of(message));
	ldap_memfree(message);
	err_set(err, EX_UNAVAILABLE, "%s: %s%s%s", what, ldap_err2string(code), *shown ? ": " : "",
		shown);
	return result;
}

static int code_of(LDAP *ldap)
{
	int code = LDAP_OTHER;

	(void)ldap_get_option(ldap, LDAP_OPT_RESULT_CODE, &code);
	return code;
}

/* Waits for the whole answer to a request. */
static enum client_result wait_for(LDAP *ldap, int id, const char *what, uint64_t deadline,
				   LDAPMessage **ret, struct err *err)
{
	struct timeval left = time_left(deadline);
	int type = ldap_result(ldap, id, LDAP_MSG_ALL, &left, ret);

	if (type > 0)
		return CLIENT_DONE;
	if (type < 0)
		return failed(ldap, CLIENT_LOST, what, code_of(ldap), err);
	err_set(err, EX_UNAVAILABLE, "%s: no answer in time", what);
	return CLIENT_LOST;
}

static int start_tls(LDAP *ldap, uint64_t deadline, struct err *err)
{
	LDAPMessage *answer = NULL;
	int id, code = ldap_start_tls(ldap, NULL, NULL, &id), result = LDAP_OTHER;

	if (code == LDAP_SUCCESS &&
	    wait_for(ldap, id, "StartTLS", deadline, &answer, err) != CLIENT_DONE)
		return -1;
	if (code == LDAP_SUCCESS)
		code = ldap_parse_extended_result(ldap, answer, NULL, NULL, 0);
	if (code == LDAP_SUCCESS)
		code = ldap_parse_result(ldap, answer, &result, NULL, NULL, NULL, NULL, 0);
	ldap_msgfree(answer);
	if (code == LDAP_SUCCESS && result == LDAP_SUCCESS)
		return 0;
	failed(ldap, CLIENT_FAILED, "StartTLS", code != LDAP_SUCCESS ? code : result, err);
	return -1;
}

/* Makes the socket a connection of libldap, which closes it from then on. */
static int attach(struct client *client, const char *address, struct err *err)
{
	Sockbuf *octets = NULL;
	int code = ldap_init_fd(client->fd, LDAP_PROTO_EXT, address, &client->ldap);

	if (code != LDAP_SUCCESS) {
		close(client->fd);
		return err_set(err, EX_SOFTWARE, "libldap: %s", ldap_err2string(code));
	}
	if (ldap_get_option(client->ldap, LDAP_OPT_SOCKBUF, &octets) != LDAP_OPT_SUCCESS ||
	    ber_sockbuf_add_io(octets, &io, LBER_SBIOD_LEVEL_PROVIDER, client) < 0) {
		close(client->fd);
		ldap_destroy(client->ldap);
		return err_set(err, EX_SOFTWARE, "libldap takes no socket");
	}
	return 0;
}

/* Encrypts it, as the address and the options want it. */
static int secure(struct client *client, const LDAPURLDesc *url, bool starttls, uint64_t deadline,
		  struct err *err)
{
	bool tls = strcmp(url->lud_scheme, "ldaps") == 0;
	int code;

	starttls = starttls && strcmp(url->lud_scheme, "ldap") == 0;
	if (set_deadline(client, deadline) < 0)
		return err_set(err, EX_SOFTWARE, "libldap takes no timeout");
	if (starttls && start_tls(client->ldap, deadline, err) < 0)
		return -1;
	if (!tls && !starttls)
		return 0;
	code = ldap_install_tls(client->ldap);
	if (code == LDAP_SUCCESS)
		return 0;
	failed(client->ldap, CLIENT_LOST, "TLS", code, err);
	return -1;
}

static struct client *connect_to(const LDAPURLDesc *url, const char *address,
				 const struct client_options *options, uint64_t deadline,
				 struct err *err)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client) {
		err_set(err, EX_OSERR, "out of memory");
		return NULL;
	}
	memcpy(client->policy_oid, LDAP_CONTROL_PASSWORDPOLICYREQUEST, sizeof(client->policy_oid));
	client->policy.ldctl_oid = client->policy_oid;
	client->fd = strcmp(url->lud_scheme, "ldapi") == 0
			     ? dial_unix(url->lud_host, deadline, err)
			     : dial_tcp(url->lud_host, (unsigned)url->lud_port, deadline, err);
	if (client->fd < 0 || attach(client, address, err) < 0) {
		free(client);
		return NULL;
	}
	client->referrals = options->referrals;
	if (secure(client, url, options->starttls, deadline, err) == 0)
		return client;
	client_close(client, true);
	return NULL;
}

struct client *client_open(const char *address, const struct client_options *options,
			   uint64_t deadline, struct err *err)
{
	LDAPURLDesc *url = parse(address, err);
	struct client *client = url ? connect_to(url, address, options, deadline, err) : NULL;

	if (url)
		ldap_free_urldesc(url);
	return client;
}

void client_close(struct client *client, bool lost)
{
	if (!client)
		return;
	if (lost)
		(void)shutdown(client->fd, SHUT_RDWR); /* or the farewell waits for its reader */
	client->deadline = dial_now() + FAREWELL_MS;
	ldap_unbind_ext(client->ldap, NULL, NULL);
	free(client);
}

/* ---- login ---- */

static int policy_of(LDAP *ldap, LDAPControl **controls)
{
	LDAPControl *control =
		ldap_control_find(LDAP_CONTROL_PASSWORDPOLICYRESPONSE, controls, NULL);
	LDAPPasswordPolicyError error = PP_noError;
	ber_int_t expire, grace;

	if (!control || ldap_parse_passwordpolicy_control(ldap, control, &expire, &grace, &error) !=
				LDAP_SUCCESS)
		return POLICY_NONE;
	return error == PP_noError ? POLICY_NONE : (int)error;
}

/* Judges the answer to a login, and frees it. */
static enum client_result judge_login(LDAP *ldap, LDAPMessage *answer, struct err *err)
{
	LDAPControl **controls = NULL;
	char *message = NULL;
	enum client_result result = CLIENT_LOST;
	int code, parsed;

	parsed = ldap_parse_result(ldap, answer, &code, NULL, &message, NULL, &controls, 1);
	if (parsed != LDAP_SUCCESS) {
		failed(ldap, CLIENT_LOST, "login", parsed, err);
		goto out;
	}
	switch (bind_verdict(code, message, policy_of(ldap, controls))) {
	case BIND_RIGHT:
		result = CLIENT_DONE;
		break;
	case BIND_WRONG:
		result = failed(ldap, CLIENT_WRONG, "login", code, err);
		break;
	case BIND_REFUSED:
		result = failed(ldap, CLIENT_REFUSED, "login", code, err);
		break;
	case BIND_FAILED:
		result = failed(ldap, CLIENT_FAILED, "login", code, err);
		break;
	}
out:
	ldap_memfree(message);
	ldap_controls_free(controls);
	return result;
}

static enum client_result login(struct client *client, const char *dn, const char *mechanism,
				struct berval *credentials, uint64_t deadline, struct err *err)
{
	LDAPControl *controls[] = {&client->policy, NULL};
	LDAPMessage *answer = NULL;
	enum client_result result;
	int id, code;

	if (set_deadline(client, deadline) < 0 ||
	    set(client->ldap, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) < 0)
		return CLIENT_LOST;
	code = ldap_sasl_bind(client->ldap, dn, mechanism, credentials, mechanism ? NULL : controls,
			      NULL, &id);
	if (code != LDAP_SUCCESS)
		return failed(client->ldap, CLIENT_LOST, "login", code, err);
	result = wait_for(client->ldap, id, "login", deadline, &answer, err);
	return result == CLIENT_DONE ? judge_login(client->ldap, answer, err) : result;
}

enum client_result client_bind(struct client *client, const char *dn, pop3_span password,
			       uint64_t deadline, struct err *err)
{
	const union {
		const char *constant;
		char *value;
	} bytes = {.constant = password.data};
	struct berval credentials = {.bv_len = password.size, .bv_val = bytes.value};

	/* RFC 4513, 5.1.2: a login without a password, or with it and no name, proves nothing */
	if (password.size == 0 || *dn == '\0')
		return err_set(err, EX_SOFTWARE, "login without name or password"), CLIENT_WRONG;
	return login(client, dn, LDAP_SASL_SIMPLE, &credentials, deadline, err);
}

enum client_result client_bind_external(struct client *client, uint64_t deadline, struct err *err)
{
	char none[] = "";
	struct berval credentials = {.bv_len = 0, .bv_val = none};

	return login(client, NULL, "EXTERNAL", &credentials, deadline, err);
}

/* ---- searches ---- */

static int send_search(LDAP *ldap, const struct client_search *search,
		       const char *const *attributes, uint64_t deadline, int *ret_id)
{
	static const int scopes[] = {[CLIENT_SUB] = LDAP_SCOPE_SUBTREE,
				     [CLIENT_ONE] = LDAP_SCOPE_ONELEVEL,
				     [CLIENT_BASE] = LDAP_SCOPE_BASE};
	char *none[] = {(char[]){LDAP_NO_ATTRS}, NULL};
	const union {
		const char *const *constant;
		char **value;
	} wanted = {.constant = attributes};
	struct timeval left = time_left(deadline);

	left.tv_sec++; /* the server's own limit, in whole seconds */
	return ldap_search_ext(ldap, search->base, scopes[search->scope], search->filter,
			       *attributes ? wanted.value : none, 0, NULL, NULL, &left, 2, ret_id);
}

/* Keeps the first entry of an answer and counts them. */
static enum client_result take_found(LDAP *ldap, struct client_search *search, struct err *err)
{
	LDAPMessage *entry;
	int code = LDAP_OTHER, parsed;

	parsed = ldap_parse_result(ldap, search->answer, &code, NULL, NULL, NULL, NULL, 0);
	if (parsed != LDAP_SUCCESS)
		return failed(ldap, CLIENT_LOST, "search", parsed, err);
	if (code == LDAP_CODE_NO_SUCH_OBJECT || code == LDAP_CODE_INVALID_DN)
		return failed(ldap, CLIENT_ABSENT, "search", code, err);
	entry = ldap_first_entry(ldap, search->answer);
	search->entries = entry ? ldap_next_entry(ldap, entry) ? 2 : 1 : 0;
	if (code != LDAP_SUCCESS && !(code == LDAP_CODE_SIZE_LIMIT && search->entries == 2))
		return failed(ldap, CLIENT_FAILED, "search", code, err);
	if (!entry)
		return CLIENT_DONE;
	search->dn = ldap_get_dn(ldap, entry);
	return search->dn ? CLIENT_DONE : failed(ldap, CLIENT_FAILED, "search", code_of(ldap), err);
}

/* Waits for the answer to a search. */
static enum client_result take_search(LDAP *ldap, struct client_search *search, int id,
				      uint64_t deadline, struct err *err)
{
	LDAPMessage *answer = NULL;
	enum client_result result = wait_for(ldap, id, "search", deadline, &answer, err);

	search->answer = answer;
	return result == CLIENT_DONE ? take_found(ldap, search, err) : result;
}

enum client_result client_search(struct client *client, struct client_search *searches,
				 unsigned count, const char *const *attributes, uint64_t deadline,
				 struct err *err)
{
	enum client_result result = CLIENT_DONE;
	LDAP *ldap = client->ldap;
	int ids[IPC_LOOKUP_NAMES_MAX], code;
	unsigned found = 0;

	if (set_deadline(client, deadline) < 0 ||
	    set(ldap, LDAP_OPT_REFERRALS, client->referrals ? LDAP_OPT_ON : LDAP_OPT_OFF) < 0)
		return CLIENT_LOST;
	for (unsigned i = 0; i < count; i++) {
		code = send_search(ldap, &searches[i], attributes, deadline, &ids[i]);
		if (code != LDAP_SUCCESS)
			return failed(ldap, code == LDAP_FILTER_ERROR ? CLIENT_FAILED : CLIENT_LOST,
				      "search", code, err);
	}
	for (unsigned i = 0; i < count; i++) {
		enum client_result one = take_search(ldap, &searches[i], ids[i], deadline, err);

		if (one == CLIENT_LOST || one == CLIENT_FAILED)
			return one;
		if (one == CLIENT_ABSENT)
			result = CLIENT_ABSENT;
		found += searches[i].entries;
	}
	return found ? CLIENT_DONE : result;
}

void client_forget(struct client_search *searches, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		ldap_memfree(searches[i].dn);
		ldap_msgfree(searches[i].answer);
		searches[i].dn = NULL;
		searches[i].answer = NULL;
		searches[i].entries = 0;
	}
}

/* ---- lists ---- */

enum { PAGE = 500 }; /* entries; servers allow 1000 and more */

/* A page of the list: the cookie of the next one, empty behind the last, in cookie. */
static enum client_result ask_page(LDAP *ldap, const struct client_search *search,
				   const char *attribute, struct berval **cookie, uint64_t deadline,
				   LDAPMessage **ret, struct err *err)
{
	const union {
		const char *constant;
		char *value;
	} name = {.constant = attribute};
	static const int scopes[] = {[CLIENT_SUB] = LDAP_SCOPE_SUBTREE,
				     [CLIENT_ONE] = LDAP_SCOPE_ONELEVEL,
				     [CLIENT_BASE] = LDAP_SCOPE_BASE};
	char *attributes[] = {name.value, NULL};
	LDAPControl *page = NULL, *controls[2] = {NULL, NULL};
	struct timeval left = time_left(deadline);
	int id, code = ldap_create_page_control(ldap, PAGE, *cookie, 0, &page);

	ber_bvfree(*cookie);
	*cookie = NULL;
	controls[0] = page;
	left.tv_sec++;
	if (code == LDAP_SUCCESS)
		code = ldap_search_ext(ldap, search->base, scopes[search->scope], search->filter,
				       attributes, 0, controls, NULL, &left, 0, &id);
	ldap_control_free(page);
	if (code != LDAP_SUCCESS)
		return failed(ldap, code == LDAP_FILTER_ERROR ? CLIENT_FAILED : CLIENT_LOST, "list",
			      code, err);
	return wait_for(ldap, id, "list", deadline, ret, err);
}

/* A server that knows no pages sends all at once. */
static enum client_result end_page(LDAP *ldap, LDAPMessage *answer, struct berval **cookie,
				   struct err *err)
{
	LDAPControl **controls = NULL, *page;
	struct berval found = {0, NULL};
	ber_int_t count;
	int code = LDAP_OTHER,
	    parsed = ldap_parse_result(ldap, answer, &code, NULL, NULL, NULL, &controls, 0);

	page = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, NULL);
	if (parsed == LDAP_SUCCESS && code == LDAP_SUCCESS && page)
		parsed = ldap_parse_pageresponse_control(ldap, page, &count, &found);
	if (found.bv_len)
		*cookie = ber_bvdup(&found);
	ber_memfree(found.bv_val);
	ldap_controls_free(controls);
	if (parsed != LDAP_SUCCESS)
		return failed(ldap, CLIENT_LOST, "list", parsed, err);
	if (code == LDAP_CODE_NO_SUCH_OBJECT || code == LDAP_CODE_INVALID_DN)
		return failed(ldap, CLIENT_ABSENT, "list", code, err);
	return code == LDAP_SUCCESS ? CLIENT_DONE : failed(ldap, CLIENT_FAILED, "list", code, err);
}

static bool take_page(struct client *client, LDAPMessage *answer, const char *attribute,
		      client_each *each, void *context)
{
	LDAP *ldap = client->ldap;
	bool more = true;

	for (LDAPMessage *entry = ldap_first_entry(ldap, answer); entry && more;
	     entry = ldap_next_entry(ldap, entry)) {
		struct berval **values = ldap_get_values_len(ldap, entry, attribute);
		char *dn = ldap_get_dn(ldap, entry);
		bool any = values && values[0];

		more = each(
			context, client, dn ? dn : "",
			(pop3_span){any ? values[0]->bv_val : NULL, any ? values[0]->bv_len : 0});
		ldap_memfree(dn);
		if (values)
			ldap_value_free_len(values);
	}
	return more;
}

enum client_result client_list(struct client *client, const struct client_search *search,
			       const char *attribute, client_each *each, void *context,
			       uint64_t deadline, struct err *err)
{
	struct berval *cookie = NULL;
	enum client_result result;
	bool more;

	if (set_deadline(client, deadline) < 0 ||
	    set(client->ldap, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) < 0)
		return err_set(err, EX_SOFTWARE, "libldap takes no options"), CLIENT_LOST;
	do {
		LDAPMessage *answer = NULL;

		result = ask_page(client->ldap, search, attribute, &cookie, deadline, &answer, err);
		if (result == CLIENT_DONE)
			result = end_page(client->ldap, answer, &cookie, err);
		more = result == CLIENT_DONE && take_page(client, answer, attribute, each, context);
		ldap_msgfree(answer);
	} while (more && cookie);
	ber_bvfree(cookie);
	return result;
}

void *client_values(struct client *client, const struct client_search *search,
		    const char *attribute, struct map_values *ret)
{
	LDAPMessage *entry = ldap_first_entry(client->ldap, search->answer);
	struct berval **values = entry ? ldap_get_values_len(client->ldap, entry, attribute) : NULL;

	ret->count = 0;
	for (; values && values[ret->count]; ret->count++)
		if (ret->count < MAP_VALUES_MAX)
			ret->values[ret->count] =
				(pop3_span){values[ret->count]->bv_val, values[ret->count]->bv_len};
	return values;
}

void client_values_end(void *held)
{
	if (held)
		ldap_value_free_len(held);
}
