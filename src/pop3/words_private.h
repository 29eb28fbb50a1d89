/*
 * Every text of the server machine, in each language that LANG offers (RFC 6856 section 3): one
 * table, so that a text without a translation does not compile. Texts are for people; what programs
 * read ("+OK", numbers, response codes, the lines of CAPA) is not among them.
 */
#ifndef POP3_SRC_WORDS_PRIVATE_H
#define POP3_SRC_WORDS_PRIVATE_H

#include <pop3/server.h>

/* X(name, English: printable ASCII, Spanish: UTF-8) */
#define P3_WORDS(X)                                                                              \
	X(READY, "POP3 server ready", "servidor POP3 listo")                                     \
	X(BYE, "bye", "adiós")                                                                   \
	X(LIST_FOLLOWS, "the list follows", "sigue la lista")                                    \
	X(TOP_FOLLOWS, "the top follows", "sigue el comienzo")                                   \
	X(MESSAGE_FOLLOWS, "the message follows", "sigue el mensaje")                            \
	X(MESSAGES, " messages (", " mensajes (")                                                \
	X(TOTAL_OCTETS, " octets)", " octetos)")                                                 \
	X(OCTETS, " octets", " octetos")                                                         \
	X(MESSAGE, "message ", "el mensaje ")                                                    \
	X(IS_MARKED, " is marked", " queda marcado")                                             \
	X(NOW_PASS, "now PASS", "ahora PASS")                                                    \
	X(BEGIN_TLS, "begin the TLS handshake", "comience la negociación TLS")                   \
	X(LANGUAGE, "texts are in English", "los textos van en español")                         \
	X(UTF8, "UTF-8 is on", "UTF-8 activado")                                                 \
	X(BAD_COMMANDS, "too many bad commands", "demasiadas órdenes erróneas")                  \
	X(LONG_LINE, "line too long", "línea demasiado larga")                                   \
	X(BARE_LF, "only CRLF ends a line", "solo CRLF termina una línea")                       \
	X(NOT_PRINTABLE, "a command is printable ASCII", "una orden es ASCII imprimible")        \
	X(UNKNOWN, "unknown command", "orden desconocida")                                       \
	X(LOG_IN_FIRST, "log in first", "primero hay que identificarse")                         \
	X(NOT_AFTER_LOGIN, "not after login", "no después de identificarse")                     \
	X(NO_ARGUMENT, "no argument is taken", "no admite argumentos")                           \
	X(ARGUMENT_MISSING, "an argument is missing", "falta un argumento")                      \
	X(TLS_ON, "TLS is on already", "TLS ya está activo")                                     \
	X(TLS_BEFORE_UTF8, "STLS comes before UTF8", "STLS va antes que UTF8")                   \
	X(NO_TLS, "TLS is not available", "TLS no está disponible")                              \
	X(PLAIN_OFF, "USER and PASS are off here, use AUTH",                                     \
	  "USER y PASS están desactivados aquí, use AUTH")                                       \
	X(CLEAR_STLS, "no login in clear text, use STLS first",                                  \
	  "no se admite la identificación sin cifrar, use antes STLS")                           \
	X(CLEAR_PORT, "no login in clear text, use the TLS port",                                \
	  "no se admite la identificación sin cifrar, use el puerto TLS")                        \
	X(USER_ARGUMENT, "USER takes one name", "USER lleva un nombre")                          \
	X(OUT_OF_MEMORY, "out of memory, try again later", "falta memoria, pruebe más tarde")    \
	X(USER_FIRST, "USER comes first", "USER va primero")                                     \
	X(NO_APOP, "APOP is not available", "APOP no está disponible")                           \
	X(APOP_ARGUMENTS, "APOP takes a name and a digest", "APOP lleva un nombre y un resumen") \
	X(APOP_DIGEST, "the digest is 32 hexadecimal digits",                                    \
	  "el resumen son 32 cifras hexadecimales")                                              \
	X(MECHANISM_STLS, "not in clear text, use STLS first", "no sin cifrar, use antes STLS")  \
	X(MECHANISM_PORT, "not in clear text, use the TLS port",                                 \
	  "no sin cifrar, use el puerto TLS")                                                    \
	X(NO_MECHANISM, "no such mechanism here", "aquí no hay tal mecanismo")                   \
	X(AUTH_ARGUMENTS, "AUTH takes a mechanism and perhaps a response",                       \
	  "AUTH lleva un mecanismo y quizá una respuesta")                                       \
	X(INITIAL_BASE64, "the initial response is not base64",                                  \
	  "la respuesta inicial no es base64")                                                   \
	X(NOT_BASE64, "that is not base64", "eso no es base64")                                  \
	X(CANCELLED, "cancelled", "cancelado")                                                   \
	X(NO_MESSAGE, "no such message", "no existe ese mensaje")                                \
	X(NO_NUMBER, "that is no message number", "eso no es un número de mensaje")              \
	X(MARKED, "message is marked as deleted", "el mensaje está marcado como borrado")        \
	X(TOP_ARGUMENTS, "TOP takes a message number and a count of lines",                      \
	  "TOP lleva un número de mensaje y una cantidad de líneas")                             \
	X(LANG_ARGUMENT, "LANG takes a language such as en or es",                               \
	  "LANG lleva un idioma como en o es")                                                   \
	X(NO_LANGUAGE, "no such language here", "aquí no se habla ese idioma")                   \
	X(NOT_POP2, "this port speaks POP3, not POP2", "este puerto habla POP3, no POP2")        \
	X(NOT_SMTP, "this port speaks POP3, not SMTP", "este puerto habla POP3, no SMTP")        \
	X(NOT_HTTP, "this port speaks POP3, not HTTP", "este puerto habla POP3, no HTTP")        \
	X(NOT_IMAP, "this port speaks POP3, not IMAP", "este puerto habla POP3, no IMAP")

enum p3_word {
#define X(name, ...) P3_##name,
	P3_WORDS(X)
#undef X
		P3_WORD_COUNT
};

/* Lives for ever. */
const char *p3_word(enum p3_word word, enum pop3_language language);
/* The tag (RFC 5646) and the language's own name for itself, in UTF-8. Live for ever. */
const char *p3_language_tag(enum pop3_language language);
const char *p3_language_name(enum pop3_language language);

enum p3_language_found { P3_LANGUAGE_FOUND, P3_LANGUAGE_UNKNOWN, P3_LANGUAGE_MALFORMED };
/*
 * The language that a range means: "*", or a basic language range (RFC 4647 section 2.1), which is
 * looked up by section 3.4: "es-MX" finds "es". *ret is set if it was found.
 */
enum p3_language_found p3_language_find(pop3_span range, enum pop3_language *ret);

#endif
