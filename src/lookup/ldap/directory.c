/* See directory.h. */
#include "lookup/ldap/directory.h"

#include "base/text.h"
#include "lookup/ldap/dial.h"
#include "lookup/ldap/verdict.h"

#include <errno.h>
#include <ldap.h>
#include <openldap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum { MESSAGE_SHOWN = 160 };

/* GnuTLS's way to say what PROTOCOL_MIN says to OpenSSL. */
static const char gnutls_priorities[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1";

struct directory {
	LDAP *ldap;
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

static int set_deadline(LDAP *ldap, uint64_t deadline)
{
	struct timeval left = time_left(deadline);

	return set(ldap, LDAP_OPT_NETWORK_TIMEOUT, &left) < 0 ||
			       set(ldap, LDAP_OPT_TIMEOUT, &left) < 0
		       ? -1
		       : 0;
}

static int prepare_tls(const struct directory_options *options, struct err *err)
{
	int demand = options->insecure ? LDAP_OPT_X_TLS_NEVER : LDAP_OPT_X_TLS_DEMAND;
	char *package = NULL;
	int rc = 0;

	(void)ldap_get_option(NULL, LDAP_OPT_X_TLS_PACKAGE, &package);
	if (!options->insecure && access(options->ca_file, R_OK) < 0)
		rc = err_sys(err, EX_NOINPUT, errno, "ca_file %s", options->ca_file);
	else if (set_number(NULL, LDAP_OPT_X_TLS_REQUIRE_CERT, demand) < 0 ||
		 (!options->insecure &&
		  set(NULL, LDAP_OPT_X_TLS_CACERTFILE, options->ca_file) < 0) ||
		 (package && strcmp(package, "GnuTLS") == 0
			  ? set(NULL, LDAP_OPT_X_TLS_CIPHER_SUITE, gnutls_priorities)
			  : set_number(NULL, LDAP_OPT_X_TLS_PROTOCOL_MIN,
				       LDAP_OPT_X_TLS_PROTOCOL_TLS1_2)) < 0 ||
		 set_number(NULL, LDAP_OPT_X_TLS_NEWCTX, 0) < 0)
		rc = err_set(err, EX_CONFIG, "ca_file %s: holds no certificates, or the TLS of "
			     "libldap cannot be set up", options->ca_file);
	ldap_memfree(package);
	return rc;
}

int directory_prepare(const struct directory_options *options, struct err *err)
{
	LDAP *first = NULL;
	int rc;

	/* no ldap.conf, .ldaprc or LDAPTLS_… of the environment: what holds stands in valija.conf */
	setenv("LDAPNOINIT", "1", 1);
	if (set_number(NULL, LDAP_OPT_PROTOCOL_VERSION, LDAP_VERSION3) < 0 ||
	    set(NULL, LDAP_OPT_REFERRALS, options->referrals ? LDAP_OPT_ON : LDAP_OPT_OFF) < 0 ||
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

static LDAPURLDesc *parse(const char *address, struct err *err)
{
	LDAPURLDesc *url = NULL;
	bool local;

	if (ldap_url_parse(address, &url) != LDAP_SUCCESS)
		goto bad;
	local = strcmp(url->lud_scheme, "ldapi") == 0;
	if ((url->lud_dn && *url->lud_dn) || url->lud_attrs || url->lud_filter || url->lud_exts ||
	    !url->lud_host || !*url->lud_host ||
	    (local ? url->lud_host[0] != '/'
		   : strcmp(url->lud_scheme, "ldap") != 0 && strcmp(url->lud_scheme, "ldaps") != 0))
		goto bad;
	return url;
bad:
	if (url)
		ldap_free_urldesc(url);
	err_set(err, EX_CONFIG,
		"\"%.100s\" is no address of an LDAP server: ldaps://HOST, ldap://HOST[:PORT] or "
		"ldapi://%%2Fpath%%2Fof%%2Fsocket",
		address);
	return NULL;
}

int directory_check(const char *address, struct err *err)
{
	LDAPURLDesc *url = parse(address, err);

	if (!url)
		return -1;
	ldap_free_urldesc(url);
	return 0;
}

bool directory_is_open(const char *address, const struct directory_options *options)
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
static enum directory_result failed(LDAP *ldap, enum directory_result result, const char *what,
				    int code, struct err *err)
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
static enum directory_result wait_for(LDAP *ldap, int id, const char *what, uint64_t deadline,
				      LDAPMessage **ret, struct err *err)
{
	struct timeval left = time_left(deadline);
	int type = ldap_result(ldap, id, LDAP_MSG_ALL, &left, ret);

	if (type > 0)
		return DIRECTORY_DONE;
	if (type < 0)
		return failed(ldap, DIRECTORY_LOST, what, code_of(ldap), err);
	err_set(err, EX_UNAVAILABLE, "%s: no answer in time", what);
	return DIRECTORY_LOST;
}

static int start_tls(LDAP *ldap, uint64_t deadline, struct err *err)
{
	LDAPMessage *answer = NULL;
	int id, code = ldap_start_tls(ldap, NULL, NULL, &id), result = LDAP_OTHER;

	if (code == LDAP_SUCCESS &&
	    wait_for(ldap, id, "StartTLS", deadline, &answer, err) != DIRECTORY_DONE)
		return -1;
	if (code == LDAP_SUCCESS)
		code = ldap_parse_extended_result(ldap, answer, NULL, NULL, 0);
	if (code == LDAP_SUCCESS)
		code = ldap_parse_result(ldap, answer, &result, NULL, NULL, NULL, NULL, 0);
	ldap_msgfree(answer);
	if (code == LDAP_SUCCESS && result == LDAP_SUCCESS)
		return 0;
	failed(ldap, DIRECTORY_FAILED, "StartTLS", code != LDAP_SUCCESS ? code : result, err);
	return -1;
}

/* Makes a socket a connection of libldap, which closes it. */
static LDAP *attach(int fd, const LDAPURLDesc *url, const char *address, bool starttls,
		    uint64_t deadline, struct err *err)
{
	bool local = strcmp(url->lud_scheme, "ldapi") == 0;
	bool tls = strcmp(url->lud_scheme, "ldaps") == 0;
	LDAP *ldap = NULL;
	int code = ldap_init_fd(fd, local ? LDAP_PROTO_IPC : LDAP_PROTO_TCP, address, &ldap);

	if (code != LDAP_SUCCESS) {
		err_set(err, EX_SOFTWARE, "libldap: %s", ldap_err2string(code));
		return NULL;
	}
	if (set_deadline(ldap, deadline) < 0) {
		err_set(err, EX_SOFTWARE, "libldap takes no timeout");
		goto fail;
	}
	if (starttls && !local && !tls && start_tls(ldap, deadline, err) < 0)
		goto fail;
	if (tls || (starttls && !local)) {
		set_deadline(ldap, deadline);
		code = ldap_install_tls(ldap);
		if (code != LDAP_SUCCESS) {
			failed(ldap, DIRECTORY_LOST, "TLS", code, err);
			goto fail;
		}
	}
	return ldap;
fail:
	(void)shutdown(fd, SHUT_RDWR);
	ldap_unbind_ext(ldap, NULL, NULL);
	return NULL;
}

struct directory *directory_open(const char *address, const struct directory_options *options,
				 uint64_t deadline, struct err *err)
{
	LDAPURLDesc *url = parse(address, err);
	struct directory *directory = url ? calloc(1, sizeof(*directory)) : NULL;
	int fd = -1;

	if (!directory)
		goto fail;
	if (strcmp(url->lud_scheme, "ldapi") == 0)
		fd = dial_unix(url->lud_host, deadline, err);
	else
		fd = dial_tcp(url->lud_host, (unsigned)url->lud_port, deadline, err);
	if (fd >= 0)
		directory->ldap =
			attach(fd, url, address, options->starttls, deadline, err);
	if (!directory->ldap)
		goto fail;
	memcpy(directory->policy_oid, LDAP_CONTROL_PASSWORDPOLICYREQUEST,
	       sizeof(directory->policy_oid));
	directory->policy.ldctl_oid = directory->policy_oid;
	ldap_free_urldesc(url);
	return directory;
fail:
	if (url)
		ldap_free_urldesc(url);
	free(directory);
	return NULL;
}

void directory_close(struct directory *directory, bool lost)
{
	int fd = -1;

	if (!directory)
		return;
	if (lost && ldap_get_option(directory->ldap, LDAP_OPT_DESC, &fd) == LDAP_OPT_SUCCESS &&
	    fd >= 0)
		(void)shutdown(fd, SHUT_RDWR); /* or the farewell could wait for its reader */
	ldap_unbind_ext(directory->ldap, NULL, NULL);
	free(directory);
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
static enum directory_result judge_login(LDAP *ldap, LDAPMessage *answer, struct err *err)
{
	LDAPControl **controls = NULL;
	char *message = NULL;
	enum directory_result result = DIRECTORY_LOST;
	int code, parsed;

	parsed = ldap_parse_result(ldap, answer, &code, NULL, &message, NULL, &controls, 1);
	if (parsed != LDAP_SUCCESS) {
		failed(ldap, DIRECTORY_LOST, "login", parsed, err);
		goto out;
	}
	switch (bind_verdict(code, message, policy_of(ldap, controls))) {
	case BIND_RIGHT:
		result = DIRECTORY_DONE;
		break;
	case BIND_WRONG:
		result = failed(ldap, DIRECTORY_WRONG, "login", code, err);
		break;
	case BIND_REFUSED:
		result = failed(ldap, DIRECTORY_REFUSED, "login", code, err);
		break;
	case BIND_FAILED:
		result = failed(ldap, DIRECTORY_FAILED, "login", code, err);
		break;
	}
out:
	ldap_memfree(message);
	ldap_controls_free(controls);
	return result;
}

static enum directory_result login(struct directory *directory, const char *dn,
				   const char *mechanism, struct berval *credentials,
				   uint64_t deadline, struct err *err)
{
	LDAPControl *controls[] = {&directory->policy, NULL};
	LDAPMessage *answer = NULL;
	enum directory_result result;
	int id, code;

	if (set_deadline(directory->ldap, deadline) < 0)
		return DIRECTORY_LOST;
	code = ldap_sasl_bind(directory->ldap, dn, mechanism, credentials,
			      mechanism ? NULL : controls, NULL, &id);
	if (code != LDAP_SUCCESS)
		return failed(directory->ldap, DIRECTORY_LOST, "login", code, err);
	result = wait_for(directory->ldap, id, "login", deadline, &answer, err);
	return result == DIRECTORY_DONE ? judge_login(directory->ldap, answer, err) : result;
}

enum directory_result directory_bind(struct directory *directory, const char *dn,
				     pop3_span password, uint64_t deadline, struct err *err)
{
	const union {
		const char *constant;
		char *value;
	} bytes = {.constant = password.data};
	struct berval credentials = {.bv_len = password.size, .bv_val = bytes.value};

	/* RFC 4513, 5.1.2: a login without a password, or with it and no name, proves nothing */
	if (password.size == 0 || *dn == '\0')
		return err_set(err, EX_SOFTWARE, "login without name or password"), DIRECTORY_WRONG;
	return login(directory, dn, LDAP_SASL_SIMPLE, &credentials, deadline, err);
}

enum directory_result directory_bind_external(struct directory *directory, uint64_t deadline,
					      struct err *err)
{
	char none[] = "";
	struct berval credentials = {.bv_len = 0, .bv_val = none};

	return login(directory, NULL, "EXTERNAL", &credentials, deadline, err);
}

/* ---- searches ---- */

static int send_search(LDAP *ldap, const struct directory_search *search,
		       const char *const *attributes, uint64_t deadline, int *ret_id)
{
	static const int scopes[] = {[DIRECTORY_SUB] = LDAP_SCOPE_SUBTREE,
				     [DIRECTORY_ONE] = LDAP_SCOPE_ONELEVEL,
				     [DIRECTORY_BASE] = LDAP_SCOPE_BASE};
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
static enum directory_result take_found(LDAP *ldap, struct directory_search *search,
					struct err *err)
{
	LDAPMessage *entry;
	int code = LDAP_OTHER, parsed;

	parsed = ldap_parse_result(ldap, search->answer, &code, NULL, NULL, NULL, NULL, 0);
	if (parsed != LDAP_SUCCESS)
		return failed(ldap, DIRECTORY_LOST, "search", parsed, err);
	if (code == LDAP_CODE_NO_SUCH_OBJECT || code == LDAP_CODE_INVALID_DN)
		return failed(ldap, DIRECTORY_ABSENT, "search", code, err);
	entry = ldap_first_entry(ldap, search->answer);
	search->entries = entry ? ldap_next_entry(ldap, entry) ? 2 : 1 : 0;
	if (code != LDAP_SUCCESS && !(code == LDAP_CODE_SIZE_LIMIT && search->entries == 2))
		return failed(ldap, DIRECTORY_FAILED, "search", code, err);
	if (!entry)
		return DIRECTORY_DONE;
	search->dn = ldap_get_dn(ldap, entry);
	return search->dn ? DIRECTORY_DONE
			  : failed(ldap, DIRECTORY_FAILED, "search", code_of(ldap), err);
}

/* Waits for the answer to a search. */
static enum directory_result take_search(LDAP *ldap, struct directory_search *search, int id,
					 uint64_t deadline, struct err *err)
{
	LDAPMessage *answer = NULL;
	enum directory_result result = wait_for(ldap, id, "search", deadline, &answer, err);

	search->answer = answer;
	return result == DIRECTORY_DONE ? take_found(ldap, search, err) : result;
}

enum directory_result directory_search(struct directory *directory,
				       struct directory_search *searches, unsigned count,
				       const char *const *attributes, uint64_t deadline,
				       struct err *err)
{
	enum directory_result result = DIRECTORY_DONE;
	LDAP *ldap = directory->ldap;
	int ids[IPC_LOOKUP_NAMES_MAX], code;
	unsigned found = 0;

	if (set_deadline(ldap, deadline) < 0)
		return DIRECTORY_LOST;
	for (unsigned i = 0; i < count; i++) {
		code = send_search(ldap, &searches[i], attributes, deadline, &ids[i]);
		if (code != LDAP_SUCCESS)
			return failed(
				ldap, code == LDAP_FILTER_ERROR ? DIRECTORY_FAILED : DIRECTORY_LOST,
				"search", code, err);
	}
	for (unsigned i = 0; i < count; i++) {
		enum directory_result one =
			take_search(ldap, &searches[i], ids[i], deadline, err);

		if (one == DIRECTORY_LOST || one == DIRECTORY_FAILED)
			return one;
		if (one == DIRECTORY_ABSENT)
			result = DIRECTORY_ABSENT;
		found += searches[i].entries;
	}
	return found ? DIRECTORY_DONE : result;
}

void directory_forget(struct directory_search *searches, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		ldap_memfree(searches[i].dn);
		ldap_msgfree(searches[i].answer);
		searches[i].dn = NULL;
		searches[i].answer = NULL;
		searches[i].entries = 0;
	}
}

void *directory_values(struct directory *directory, const struct directory_search *search,
		       const char *attribute, struct map_values *ret)
{
	LDAPMessage *entry = ldap_first_entry(directory->ldap, search->answer);
	struct berval **values =
		entry ? ldap_get_values_len(directory->ldap, entry, attribute) : NULL;

	ret->count = 0;
	for (; values && values[ret->count]; ret->count++)
		if (ret->count < MAP_VALUES_MAX)
			ret->values[ret->count] = (pop3_span){values[ret->count]->bv_val,
							      values[ret->count]->bv_len};
	return values;
}

void directory_values_end(void *held)
{
	if (held)
		ldap_value_free_len(held);
}
