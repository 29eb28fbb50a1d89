/*
 * `valija autoconfig`: what a domain publishes so that a mail program needs an address and a
 * password only: Mozilla's XML (clientConfig 1.1), the JSON of PACC, and records for its zone. All
 * of it comes from valija.conf.
 */
#ifndef CLI_AUTOCONFIG_H
#define CLI_AUTOCONFIG_H

int autoconfig_main(int argc, char **argv);

#endif
