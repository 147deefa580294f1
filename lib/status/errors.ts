import createError, { type FastifyErrorConstructor } from '@fastify/error'

/** A bad option: rejects `ready()`. */
export const InvalidOptionsError: FastifyErrorConstructor<{ code: 'FST_WSTUNNEL_INVALID_OPTIONS', statusCode: 500 }> =
  createError('FST_WSTUNNEL_INVALID_OPTIONS', 'status: %s', 500)

/** A malformed query or action. */
export const BadRequestError: FastifyErrorConstructor<{ code: 'FST_WSTUNNEL_BAD_REQUEST', statusCode: 400 }> =
  createError('FST_WSTUNNEL_BAD_REQUEST', 'Bad request: %s', 400)

/** An action that did not come from the page. */
export const ForbiddenError: FastifyErrorConstructor<{ code: 'FST_WSTUNNEL_ACTION_REFUSED', statusCode: 403 }> =
  createError('FST_WSTUNNEL_ACTION_REFUSED', 'Refused: %s', 403)

/** An action on a balancer, member or tunnel that does not exist. */
export const NotFoundError: FastifyErrorConstructor<{ code: 'FST_WSTUNNEL_NOT_FOUND', statusCode: 404 }> =
  createError('FST_WSTUNNEL_NOT_FOUND', 'Not found: %s', 404)
