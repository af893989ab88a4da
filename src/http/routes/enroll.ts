// The door for machines that have a token and want an identity. The service judges; this reads the form and answers in
// plain text, so that a shell agent needs no JSON parser.
import type { FastifyReply } from 'fastify';
import { AppError } from '../../errors.ts';
import type { EnrollmentOutcome, EnrollmentService } from '../../enrollment/enrollment-service.ts';
import { bearerToken } from '../auth.ts';
import { ENROLLMENT_FORM } from '../enrollment-form.ts';
import { peerAddress, type HttpApp } from '../http-app.ts';

export interface EnrollRouteParts {
  readonly enrollmentService: Pick<EnrollmentService, 'enroll'>;
  readonly limits: { readonly enrollmentsPerMinute: number };
}

export function enrollRoutes(app: HttpApp, parts: EnrollRouteParts): void {
  app.post(
    '/api/v1/enroll',
    {
      schema: { body: ENROLLMENT_FORM },
      config: {
        // By single address also for IPv6: the machines of one rack share a /64.
        rateLimit: { max: parts.limits.enrollmentsPerMinute, timeWindow: 60_000, keyGenerator: peerAddress },
      },
    },
    async (request, reply) => {
      const token = bearerToken(request);
      if (token === undefined)
        throw new AppError('unauthorised', 'This needs an enrollment token: Authorization: Bearer <token>.');
      const { csr, candidate, facts } = request.body;
      const outcome = await parts.enrollmentService.enroll({
        token,
        csrPem: csr,
        candidate,
        facts,
        peerAddress: peerAddress(request),
      });
      return sendCertificate(reply, outcome);
    },
  );
}

/** 201 with the certificate, or the refusal as an error. */
export function sendCertificate(reply: FastifyReply, outcome: EnrollmentOutcome): FastifyReply {
  if (outcome.kind === 'refused') throw new AppError(outcome.code, outcome.message);
  return reply
    .code(201)
    .header('content-type', 'application/pem-certificate-chain')
    .header('cache-control', 'no-store')
    .header('x-muster-machine-id', outcome.machineId)
    .header('x-muster-not-after', Math.floor(outcome.certificate.notAfter / 1000))
    .send(Buffer.from(outcome.certificate.pem));
}
