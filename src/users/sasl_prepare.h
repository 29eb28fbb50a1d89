/* Preparing passwords for SCRAM. Any thread of auth, and the command line. */
#ifndef USERS_SASL_PREPARE_H
#define USERS_SASL_PREPARE_H

#include "base/secret.h"

/* SASLprep (RFC 4013) as SCRAM asks for; what it refuses is copied as it is. ret is the caller's to
 * finish. */
void sasl_prepare(const struct secret *password, struct secret *ret);

#endif
