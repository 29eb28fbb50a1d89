/* See login_external_private.h. On auth's loop; the client's octets are hostile, and so is the name
 * in the certificate. */
#include "users/login_external_private.h"

#include "base/text.h"

enum login_verdict login_external(struct login *login, pop3_span authzid, bool has_response)
{
	if (login->phase == PHASE_START && !has_response) { /* in two lines */
		login->phase = PHASE_EXCHANGE;
		return login_challenge_with(login, SPAN_LITERAL(""));
	}
	login->phase = PHASE_EXCHANGE;
	login_claim(login, span_of(login->certified));
	if (authzid.size && !user_name_same(authzid, span_of(login->certified)))
		return login_over(login, LOGIN_DENIED,
				  "the certificate is another user's than the one asked for");
	if (!login_look_up(login))
		return login_no_entry(login);
	if (!login->may_log_in)
		return login_over(login, LOGIN_DENIED,
				  "a certificate of an unknown user, or of one who is locked");
	/* a front that was taken over can send any name: it gets no further than these users */
	if (!login->user.external)
		return login_over(login, LOGIN_DENIED,
				  "a certificate, but the user's entry does not have the field "
				  "external");
	return login_proven(login, "EXTERNAL");
}
