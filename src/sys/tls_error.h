/* The reason of the library's latest failure, for messages to people. For sys/tls*.c only. */
#ifndef SYS_TLS_ERROR_H
#define SYS_TLS_ERROR_H

/* Static text, never NULL. */
const char *tls_error_text(void);

#endif
