/* `valija doctor`: looks at a server and its machine, says what is wrong, and what mends it. */
#ifndef CLI_DOCTOR_DOCTOR_H
#define CLI_DOCTOR_DOCTOR_H

/* Returns 0: nothing is wrong; 1: warnings; 2: errors; or a code of sysexits.h. */
int doctor_main(int argc, char **argv);

#endif
