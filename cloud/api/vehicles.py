"""Routes: vehicles."""

from fastapi import APIRouter

router = APIRouter(tags=["vehicles"])
