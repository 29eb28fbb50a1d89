/* See verdict.h. */
#include "lookup/ldap/verdict.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Active Directory answers 49 to all of these: "80090308: LdapErr: DSID-0C09050F, comment:
 * AcceptSecurityContext error, data 532, v4563". All but 525, 52e and 775 are told only to one who
 * has the password. */
static enum bind_verdict active_directory(const char *message)
{
	const char *at = strstr(message, "AcceptSecurityContext error, data ");

	if (!at)
		return BIND_WRONG;
	switch (strtoul(at + strlen("AcceptSecurityContext error, data "), NULL, 16)) {
	case 0x530: /* not at this time */
	case 0x531: /* not from this workstation */
	case 0x532: /* password expired */
	case 0x533: /* disabled */
	case 0x701: /* account expired */
	case 0x773: /* password must be changed */
		return BIND_REFUSED;
	}
	return BIND_WRONG;
}

/* A server that will not take the login of one account says so with 53, as it does when it takes
 * none at all; 389 Directory Server, eDirectory. */
static enum bind_verdict unwilling(const char *message)
{
	if (strstr(message, "inactivated") || strstr(message, "NDS error"))
		return BIND_WRONG;
	return BIND_FAILED;
}

enum bind_verdict bind_verdict(int code, const char *message, int policy)
{
	message = message ? message : "";
	switch (code) {
	case LDAP_CODE_SUCCESS: /* may be good for a change of the password only */
		return policy == POLICY_CHANGE_AFTER_RESET || policy == POLICY_EXPIRED
			       ? BIND_REFUSED
			       : BIND_RIGHT;
	case LDAP_CODE_INVALID_CREDENTIALS:
		if (policy == POLICY_EXPIRED || policy == POLICY_CHANGE_AFTER_RESET)
			return BIND_REFUSED;
		return active_directory(message);
	case LDAP_CODE_CONSTRAINT: /* too many failures: 389 Directory Server */
	case LDAP_CODE_NO_SUCH_OBJECT:
	case LDAP_CODE_INVALID_DN:
	case LDAP_CODE_INAPPROPRIATE: /* the entry has no password */
		return BIND_WRONG;
	case LDAP_CODE_UNWILLING:
		return unwilling(message);
	}
	return BIND_FAILED;
}
