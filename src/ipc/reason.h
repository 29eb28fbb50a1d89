/*
 * Reasons: a refusal, or OK, crosses between processes as a number. One table gives each reason its
 * POP3 response code (RFC 2449, RFC 3206), its LMTP reply (RFC 5321) with the enhanced status code
 * (RFC 3463), the words for the client in each language of POP3's LANG (RFC 6856), so that none is
 * missing, and the word for the log. In every process; ipc_check judges
 * a reason of another process before it is looked up.
 */
#ifndef IPC_REASON_H
#define IPC_REASON_H

#include <pop3/server.h>

#include <stdbool.h>
#include <stdint.h>

/* X(name, POP3 response code, LMTP reply (0: never said by LMTP), enhanced code, words in English,
 * words in Spanish, log word) */
#define IPC_REASONS(X)                                                                            \
	X(OK, NONE, 250, "2.1.5", "delivered", "entregado", "ok")                                 \
	X(WRONG, AUTH, 0, "", "wrong user name or password", "usuario o contraseña incorrectos",  \
	  "wrong")                                                                                \
	X(CLEAR_TEXT, NONE, 0, "", "not in clear text: use TLS", "no sin cifrar: use TLS",        \
	  "clear-text")                                                                           \
	X(LOGIN_DOWN, SYS_TEMP, 0, "", "logins cannot be checked now, try again later",           \
	  "ahora no se puede comprobar la identificación, pruebe más tarde", "login-down")        \
	X(LOGIN_UNCHECKABLE, SYS_PERM, 0, "", "this login cannot be checked, ask the postmaster", \
	  "esta identificación no se puede comprobar, pregunte al administrador del correo",      \
	  "login-uncheckable")                                                                    \
	X(USER_SESSIONS, IN_USE, 0, "", "too many sessions of this user",                         \
	  "demasiadas sesiones de este usuario", "user-sessions")                                 \
	X(CONNECTIONS, SYS_TEMP, 0, "", "too many connections, try again later",                  \
	  "demasiadas conexiones, pruebe más tarde", "connections")                               \
	X(ADDRESS_CONNECTIONS, SYS_TEMP, 0, "", "too many connections from your address",         \
	  "demasiadas conexiones desde su dirección", "address-connections")                      \
	X(MEMORY, SYS_TEMP, 451, "4.3.0", "out of memory, try again later",                       \
	  "falta memoria, pruebe más tarde", "memory")                                            \
	X(STORE_DOWN, SYS_TEMP, 451, "4.3.0", "the mail store is not available, try again later", \
	  "el almacén de correo no está disponible, pruebe más tarde", "store-down")              \
	X(IN_USE, IN_USE, 451, "4.2.0", "another session has this maildrop open",                 \
	  "otra sesión tiene abierto este buzón", "in-use")                                       \
	X(MAILDROP_TEMP, SYS_TEMP, 451, "4.3.0",                                                  \
	  "the maildrop cannot be used now, try again later",                                     \
	  "el buzón no se puede usar ahora, pruebe más tarde", "maildrop-temp")                   \
	X(MAILDROP_PERM, SYS_PERM, 451, "4.3.0",                                                  \
	  "the maildrop cannot be opened, ask the postmaster",                                    \
	  "el buzón no se puede abrir, pregunte al administrador del correo", "maildrop-perm")    \
	X(MESSAGE_GONE, SYS_TEMP, 0, "", "this message is gone or changed, log in again",         \
	  "este mensaje ya no está o ha cambiado, identifíquese de nuevo", "message-gone")        \
	X(MESSAGE_TEMP, SYS_TEMP, 0, "", "this message cannot be read now, try again later",      \
	  "este mensaje no se puede leer ahora, pruebe más tarde", "message-temp")                \
	X(MESSAGE_PERM, SYS_PERM, 0, "", "this message cannot be read, ask the postmaster",       \
	  "este mensaje no se puede leer, pregunte al administrador del correo", "message-perm")  \
	X(NOT_DELETED, SYS_TEMP, 0, "", "some messages were not deleted",                         \
	  "algunos mensajes no se borraron", "not-deleted")                                       \
	X(NOTHING_DELETED, SYS_TEMP, 0, "", "nothing was deleted, try again later",               \
	  "no se borró nada, pruebe más tarde", "nothing-deleted")                                \
	X(NO_SUCH_USER, NONE, 550, "5.1.1", "no such user here", "aquí no hay tal usuario",       \
	  "no-such-user")                                                                         \
	X(USERS_DOWN, NONE, 451, "4.3.0", "the user database is not available, try again later",  \
	  "la base de datos de usuarios no está disponible, pruebe más tarde", "users-down")      \
	X(OVER_QUOTA, NONE, 452, "4.2.2", "the mailbox is full, try again later",                 \
	  "el buzón está lleno, pruebe más tarde", "over-quota")                                  \
	X(OVER_QUOTA_PERM, NONE, 552, "5.2.2", "the mailbox is full", "el buzón está lleno",      \
	  "over-quota-perm")                                                                      \
	X(DISK_FULL, SYS_TEMP, 452, "4.3.1", "no space on the disk, try again later",             \
	  "no queda sitio en el disco, pruebe más tarde", "disk-full")                            \
	X(SPOOL_FULL, NONE, 452, "4.3.1", "too many messages are on their way, try again later",  \
	  "hay demasiados mensajes en camino, pruebe más tarde", "spool-full")                    \
	X(LOGIN_BUSY, SYS_TEMP, 0, "", "too many logins wait for their turn, try again later",    \
	  "demasiadas identificaciones esperan su turno, pruebe más tarde", "login-busy")         \
	X(TOO_MANY_OWNERS, NONE, 452, "4.5.3",                                                    \
	  "mail of too many owners in one transaction, send the rest in another",                 \
	  "correo de demasiados propietarios en una transacción, envíe el resto en otra",         \
	  "too-many-owners")                                                                      \
	X(OWNERS_BUSY, NONE, 451, "4.3.2",                                                        \
	  "mail of too many owners is in use now, try again later",                               \
	  "ahora se usa el correo de demasiados propietarios, pruebe más tarde", "owners-busy")   \
	X(NO_DELETE, NONE, 0, "", "nothing was deleted: this password may not delete",            \
	  "no se borró nada: esta contraseña no puede borrar", "no-delete")                       \
	X(TAKEN_OVER, IN_USE, 0, "",                                                              \
	  "another session took this maildrop over, and nothing was deleted",                     \
	  "otra sesión se quedó con este buzón, y no se borró nada", "taken-over")                \
	X(LOGIN_DELAY, LOGIN_DELAY, 0, "",                                                        \
	  "the last login was too short a time ago, try again later",                             \
	  "la última identificación fue hace muy poco, pruebe más tarde", "login-delay")          \
	X(NEEDS_UTF8, UTF8, 0, "",                                                                \
	  "this message has headers in UTF-8: set the mail program to use UTF8",                  \
	  "este mensaje tiene cabeceras en UTF-8: active UTF8 en el programa de correo",          \
	  "needs-utf8")                                                                           \
	X(REMOTE_REFUSED, NONE, 554, "5.0.0", "the server of this mailbox refuses the message",   \
	  "el servidor de este buzón rechaza el mensaje", "remote-refused")                       \
	X(GUARD, SYS_TEMP, 451, "4.3.0",                                                          \
	  "the maildrop is not the one that it was, ask the postmaster",                          \
	  "el buzón no es el que era, pregunte al administrador del correo", "guard")

enum reason {
#define X(name, ...) REASON_##name,
	IPC_REASONS(X)
#undef X
		REASON_COUNT
};

struct reason_row {
	enum pop3_code code;
	uint16_t reply;       /* in LMTP; 0: LMTP never gives this reason */
	const char *enhanced; /* "4.3.0" */
	const char *words;    /* in English, for clients and the log: printable ASCII */
	const char *spanish;  /* UTF-8, for POP3 clients that asked for it */
	const char *log;      /* one word */
};

/* The row of a reason; for a number that is no reason, the row of MAILDROP_TEMP. Lives for ever. */
const struct reason_row *reason_row(uint32_t reason);
/* The words of that row in a language. Live for ever. */
const char *reason_words(uint32_t reason, enum pop3_language language);

#endif
