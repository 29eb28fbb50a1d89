/*
 * The meaning of a server's answer to a login (RFC 4511 section 4.2.2, the password policy of
 * draft-behera-ldap-password-policy, and the words that servers without it put into their message).
 * Pure; any thread.
 */
#ifndef LOOKUP_LDAP_VERDICT_H
#define LOOKUP_LDAP_VERDICT_H

/* Result codes of RFC 4511, section 4.1.9, as far as they mean something here. */
enum ldap_code {
	LDAP_CODE_SUCCESS = 0,
	LDAP_CODE_SIZE_LIMIT = 4,
	LDAP_CODE_CONSTRAINT = 19,
	LDAP_CODE_NO_SUCH_OBJECT = 32,
	LDAP_CODE_INVALID_DN = 34,
	LDAP_CODE_INAPPROPRIATE = 48,
	LDAP_CODE_INVALID_CREDENTIALS = 49,
	LDAP_CODE_UNWILLING = 53,
};

/* Errors that the password policy adds to a result. */
enum policy_error {
	POLICY_NONE = -1,
	POLICY_EXPIRED = 0,
	POLICY_LOCKED = 1,
	POLICY_CHANGE_AFTER_RESET = 2,
};

enum bind_verdict {
	BIND_RIGHT,
	BIND_WRONG,   /* or not told: a locked account's password is not looked at */
	BIND_REFUSED, /* the password is right, the account may not be used: expired, disabled,
			 must change its password */
	BIND_FAILED,  /* no answer about the password */
};

/* message: the server's diagnostic message, "" or NULL if it sent none. */
enum bind_verdict bind_verdict(int code, const char *message, int policy);

#endif
