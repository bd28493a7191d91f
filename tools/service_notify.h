/* Tells the service manager how this program is, by the protocol of sd_notify(3). */
#ifndef CYTOFS_SERVICE_NOTIFY_H
#define CYTOFS_SERVICE_NOTIFY_H

/* "READY=1", "STOPPING=1".  Does nothing where no service manager asked for it ($NOTIFY_SOCKET). */
void service_notify(const char *state);

#endif
